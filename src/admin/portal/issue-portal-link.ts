import { appendAuditEvent } from '../../audit/audit-log.ts';
import { organizationNotFound } from '../../clients/hold-organizations.ts';
import { type Contact, permissions as everyPermission, type Permission, reachOf } from '../../contacts/contact.ts';
import { findContactsByEmail } from '../../contacts/contact-store.ts';
import { requireMayGrant } from '../../contacts/grantor.ts';
import { createContact, requireContact } from '../../contacts/manage-contacts.ts';
import type { Core } from '../../core.ts';
import { Conflict, InvalidInput } from '../../errors.ts';
import { findPortalSettings } from '../../organizations/organization-store.ts';
import { mayReturnTo } from '../../organizations/portal-settings.ts';
import { insertLink } from '../../sessions/link-store.ts';
import type { Transaction } from '../../storage/database.ts';
import { deploymentOrganization } from '../../storage/organization-limit.ts';
import { addressOn } from '../console/site.ts';
import type { Operator } from '../operator-auth.ts';

/** Who a link signs in: a contact, or the person with an e-mail address, who becomes a contact if there is none. */
type Person = { contactId: string } | { organizationId: string; email: string; name: string };

type LinkRequest = {
  person: Person;
  /** Undefined for those of the contact. */
  permissions: readonly Permission[] | undefined;
  returnUrl: string | undefined;
  /** How long the link may be opened, in seconds. */
  expiresIn: number;
};

/**
 * Issues a link that signs a person in to the portal once.
 * @throws {Conflict} `portal_off` if the deployment has no portal, `deployment_contact` for a contact of the deployment
 *   itself, or `email_is_ambiguous` if several contacts have the e-mail address.
 * @throws {Forbidden} if the operator lacks a permission that the session would have.
 * @throws {InvalidInput} if the portal may not lead back to `returnUrl`.
 */
export async function issuePortalLink(
  transaction: Transaction,
  core: Core,
  operator: Operator,
  { person, permissions, returnUrl: givenUrl, expiresIn }: LinkRequest,
) {
  const { portalUrl } = core.config;
  if (portalUrl === undefined) {
    throw new Conflict('portal_off', 'This deployment has no portal. Set KEYTURN_PORTAL_PORT or KEYTURN_PORTAL_URL.');
  }
  const at = new Date(core.clock());
  const granted = permissions && everyPermission.filter((each) => permissions.includes(each));
  if (granted) requireMayGrant(operator, granted);
  const contact = await findOrCreate(transaction, core, operator, person, granted);
  if (reachOf(contact) === null) {
    throw new Conflict('deployment_contact', 'The contact belongs to the deployment itself. It uses the console.');
  }
  // A session without permissions of its own has those of the contact.
  if (!granted) requireMayGrant(operator, contact.permissions);
  const settings = await findPortalSettings(core.unlimitedDatabase, contact.organizationId);
  if (givenUrl !== undefined && !mayReturnTo(settings, givenUrl)) {
    const message = `${new URL(givenUrl).origin} is not an allowed origin. Add it to portal.return_origins of the organization, or of that of the deployment`;
    throw new InvalidInput(`return_url: ${message}`, [{ path: 'return_url', message }]);
  }
  const returnUrl = givenUrl ?? settings.returnUrl;
  const expiresAt = new Date(at.getTime() + expiresIn * 1_000);
  const grant = { permissions: granted ?? null, returnUrl };
  const path = await insertLink(transaction, { site: 'portal', contact: contact.id, grant, expiresAt });
  await appendAuditEvent(transaction, {
    at,
    actor: operator,
    action: 'portal.link',
    targetType: 'contact',
    target: contact.id,
    after: { permissions: granted ?? contact.permissions, return_url: returnUrl, expires_at: expiresAt.toISOString() },
  });
  const url = new URL(addressOn({ name: 'portal' }, path), portalUrl).href;
  return { url, contact, permissions: granted ?? contact.permissions, returnUrl, expiresAt };
}

async function findOrCreate(
  transaction: Transaction,
  core: Core,
  operator: Operator,
  person: Person,
  permissions: readonly Permission[] | undefined,
): Promise<Contact> {
  if ('contactId' in person) return await requireContact(transaction, person.contactId);
  const { organizationId, email, name } = person;
  if (organizationId === deploymentOrganization) throw organizationNotFound();
  // Two links for a new person create one contact.
  const key = `portal ${organizationId} ${email.toLowerCase()}`;
  await transaction.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [key]);
  const [found, another] = await findContactsByEmail(transaction, organizationId, email);
  if (another) {
    throw new Conflict(
      'email_is_ambiguous',
      'Several contacts of the organization have this e-mail address. Send contact_id instead.',
    );
  }
  return found ?? (await createContact(transaction, core, operator, { organizationId, email, name, permissions }));
}
