import { randomUUID } from 'node:crypto';
import { appendAuditEvent } from '../audit/audit-log.ts';
import { type Contact, type Permission, reachOf } from '../contacts/contact.ts';
import { findContactsByEmail } from '../contacts/contact-store.ts';
import { type Grantor, requireMayGrant, requireUnbounded } from '../contacts/grantor.ts';
import { createContact, requireContact } from '../contacts/manage-contacts.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import { Conflict, NotFound } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import { digest, randomCode } from '../sessions/link-store.ts';
import type { SessionSite } from '../sessions/session-store.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import {
  deleteInvitation,
  deleteOpen,
  findSealedLink,
  type Invitation,
  insertInvitation,
  lockInvitation,
} from './invitation-store.ts';

type Deps = { clock: Clock; keyRing: KeyRing; config: { consoleUrl: string; portalUrl: string | undefined } };

/** The invited person: a contact, or an e-mail address, for which a contact is created if there is none. */
export type Invited =
  | { contactId: string }
  | { organizationId: string | undefined; email: string; name: string; permissions: readonly Permission[] };

const defaultSeconds = 7 * 86_400;

/**
 * Invites a person to the console or the portal. Earlier invitations of the person to that site end.
 * @returns the link, which signs in once.
 * @throws {Forbidden} if the operator lacks a permission of the contact, because the link gives all of them.
 * @throws {Conflict} `portal_off`, `deployment_contact` or `email_is_ambiguous`.
 */
export async function invite(
  transaction: Transaction,
  deps: Deps,
  grantor: Grantor,
  {
    person,
    site,
    seconds = defaultSeconds,
  }: { person: Invited; site: SessionSite | undefined; seconds?: number | undefined },
): Promise<{ invitation: Invitation; url: string }> {
  requireUnbounded(grantor);
  const contact = await findOrCreate(transaction, deps, grantor, person);
  requireMayGrant(grantor, contact.permissions);
  const isOfDeployment = reachOf(contact) === null;
  const { portalUrl } = deps.config;
  const chosen = site ?? (isOfDeployment || portalUrl === undefined ? 'console' : 'portal');
  if (chosen === 'portal' && portalUrl === undefined) {
    throw new Conflict('portal_off', 'This deployment has no portal. Set KEYTURN_PORTAL_PORT or KEYTURN_PORTAL_URL.');
  }
  if (chosen === 'portal' && isOfDeployment) {
    throw new Conflict('deployment_contact', 'The contact belongs to the deployment itself. It uses the console.');
  }
  return await issue(transaction, deps, grantor, { contact, site: chosen, seconds });
}

/** Replaces the link of an invitation by a new one, which works as long as the first one did. */
export async function inviteAgain(
  transaction: Transaction,
  deps: Deps,
  grantor: Grantor,
  id: string,
): Promise<{ invitation: Invitation; url: string }> {
  requireUnbounded(grantor);
  const { contactId, site, createdAt, expiresAt } = await requireOpen(transaction, id);
  const contact = await requireContact(transaction, contactId);
  requireMayGrant(grantor, contact.permissions);
  const seconds = Math.round((expiresAt.getTime() - createdAt.getTime()) / 1_000);
  return await issue(transaction, deps, grantor, { contact, site, seconds });
}

/** Withdraws an invitation, whose link then no longer works. */
export async function withdrawInvitation(
  transaction: Transaction,
  deps: Pick<Deps, 'clock'>,
  grantor: Grantor,
  id: string,
): Promise<void> {
  const invitation = await requireOpen(transaction, id);
  const at = new Date(deps.clock());
  await deleteInvitation(transaction, id, at);
  await audit(transaction, grantor, at, 'withdraw_invitation', invitation);
}

/** Returns the link of an invitation for the e-mail, or undefined if it was accepted, withdrawn or has expired. */
export async function findInvitationLink(
  database: Queryable,
  deps: Pick<Deps, 'clock' | 'keyRing'>,
  id: string,
): Promise<string | undefined> {
  const sealed = await findSealedLink(database, id, new Date(deps.clock()));
  return sealed === undefined ? undefined : unseal(deps.keyRing, placeOf(id), sealed);
}

async function issue(
  transaction: Transaction,
  { clock, keyRing, config }: Deps,
  grantor: Grantor,
  { contact, site, seconds }: { contact: Contact; site: SessionSite; seconds: number },
): Promise<{ invitation: Invitation; url: string }> {
  const at = new Date(clock());
  await deleteOpen(transaction, contact.id, site, at);
  const invitation: Invitation = {
    id: randomUUID(),
    contactId: contact.id,
    contactName: contact.name,
    email: contact.email,
    organizationId: contact.organizationId,
    site,
    invitedName: grantor.name,
    createdAt: at,
    expiresAt: new Date(at.getTime() + seconds * 1_000),
    acceptedAt: null,
  };
  const secret = randomCode();
  const base = site === 'portal' ? (config.portalUrl ?? config.consoleUrl) : config.consoleUrl;
  const url = new URL(`/${site}/sign-in?code=${secret}&next=/console/welcome`, base).href;
  await insertInvitation(transaction, invitation, {
    code: digest(secret),
    sealed: seal(keyRing, placeOf(invitation.id), url),
    invitedBy: grantor.id,
    invitedName: grantor.name,
  });
  await audit(transaction, grantor, at, 'invite', invitation);
  return { invitation, url };
}

function placeOf(id: string) {
  return { table: 'invitations', id };
}

async function findOrCreate(transaction: Transaction, deps: Deps, grantor: Grantor, person: Invited): Promise<Contact> {
  if ('contactId' in person) return await requireContact(transaction, person.contactId);
  const { organizationId = deploymentOrganization, email, name, permissions } = person;
  const [found, another] = await findContactsByEmail(transaction, organizationId, email);
  if (another) {
    throw new Conflict(
      'email_is_ambiguous',
      'Several contacts of the organization have this e-mail address. Send contact_id instead.',
    );
  }
  return found ?? (await createContact(transaction, deps, grantor, { organizationId, email, name, permissions }));
}

/** @throws {NotFound} unless there is such an invitation, and it was not accepted. */
async function requireOpen(transaction: Transaction, id: string): Promise<Invitation> {
  const invitation = await lockInvitation(transaction, id);
  if (!invitation) throw new NotFound('invitation');
  if (invitation.acceptedAt) throw new Conflict('invitation_accepted', 'The invitation was accepted.');
  return invitation;
}

async function audit(
  transaction: Transaction,
  actor: Grantor,
  at: Date,
  verb: 'invite' | 'withdraw_invitation',
  { id, contactId: target, site, expiresAt }: Invitation,
): Promise<void> {
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `contact.${verb}`,
    targetType: 'contact',
    target,
    after: { invitation: id, site, expires_at: expiresAt.toISOString() },
  });
}
