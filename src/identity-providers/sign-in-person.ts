import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { Contact, Permission } from '../contacts/contact.ts';
import { lockContact, saveContact } from '../contacts/contact-store.ts';
import { createContact } from '../contacts/manage-contacts.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { KeyturnError } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import { recordNarrowed } from '../storage/change.ts';
import type { Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { textProblem } from '../text/read-text.ts';
import { type Claims, type IdentityProvider, organizationFrom, permissionsFrom } from './identity-provider.ts';
import {
  findContactOfIdentity,
  findContactsByEmail,
  type Identity,
  insertIdentity,
} from './identity-provider-store.ts';

type Deps = { keyRing: KeyRing; clock: Clock };

/**
 * Returns the contact of a person who has signed in at a provider, with the permissions that the claims give now. A person
 * is recognized by issuer and `sub` alone. A first sign-in is matched by a verified e-mail address or gets a new contact,
 * where the provider's settings allow that.
 * @returns undefined if the person has no contact and gets none.
 */
export async function findPerson(
  transaction: Transaction,
  deps: Deps,
  provider: IdentityProvider,
  claims: Claims,
): Promise<Contact | undefined> {
  const identity = identityOf(provider, claims);
  const known = await findContactOfIdentity(transaction, identity);
  const id = known ?? (await linkByEmail(transaction, deps, provider, identity, claims));
  if (id === undefined) return await createForPerson(transaction, deps, provider, identity, claims);
  const contact = await lockContact(transaction, id);
  if (!contact || !isWithin(provider, contact)) return undefined;
  return await followClaims(transaction, deps, provider, contact, claims);
}

export function identityOf({ id: provider, issuer }: IdentityProvider, { sub }: Claims): Identity {
  return { provider, issuer, subject: String(sub) };
}

/** Returns whether a provider may decide on a contact: one of its organization, or, for that of the deployment, any. */
export function isWithin({ organizationId }: IdentityProvider, contact: Contact): boolean {
  return organizationId === deploymentOrganization || organizationId === contact.organizationId;
}

async function linkByEmail(
  transaction: Transaction,
  deps: Deps,
  provider: IdentityProvider,
  identity: Identity,
  { email, email_verified: isVerified }: Claims,
): Promise<string | undefined> {
  if (!provider.linksByEmail || isVerified !== true || typeof email !== 'string') return undefined;
  const [id, other] = await findContactsByEmail(transaction, identity, provider.organizationId, email);
  if (id === undefined || other !== undefined) return undefined;
  await link(transaction, deps, provider, identity, id);
  return id;
}

async function link(
  transaction: Transaction,
  { clock }: Deps,
  provider: IdentityProvider,
  identity: Identity,
  contactId: string,
): Promise<void> {
  const at = new Date(clock());
  await insertIdentity(transaction, identity, contactId, at);
  await appendAuditEvent(transaction, {
    at,
    actor: actorOf(provider),
    action: 'contact.link_identity',
    targetType: 'contact',
    target: contactId,
    after: { issuer: identity.issuer, subject: identity.subject },
  });
}

async function createForPerson(
  transaction: Transaction,
  deps: Deps,
  provider: IdentityProvider,
  identity: Identity,
  claims: Claims,
): Promise<Contact | undefined> {
  const organizationId = organizationFrom(provider, claims);
  const permissions = permissionsFrom(provider, claims, organizationId);
  if (!provider.createsContacts || permissions.length === 0) return undefined;
  const { email } = claims;
  if (typeof email !== 'string' || !/^[^\s@]+@[^\s@]+$/.test(email) || email.length > 254) {
    throw new KeyturnError(
      'sign_in_refused',
      403,
      'The identity provider does not say your e-mail address, which a new contact needs. Ask for the scope `email`.',
    );
  }
  const grantor = { ...actorOf(provider), permissions, organizationId: null };
  const contact = await createContact(transaction, deps, grantor, {
    name: nameFrom(claims) ?? email,
    email,
    organizationId,
    permissions,
  });
  await link(transaction, deps, provider, identity, contact.id);
  return contact;
}

function nameFrom({ name, preferred_username: username }: Claims): string | undefined {
  return [name, username].find(
    (text): text is string => typeof text === 'string' && textProblem(text, 200) === undefined,
  );
}

/** Gives a contact the permissions of its claims, and takes all others away. */
export async function followClaims(
  transaction: Transaction,
  deps: Pick<Deps, 'clock'>,
  provider: IdentityProvider,
  contact: Contact,
  claims: Claims,
): Promise<Contact> {
  const permissions = permissionsFrom(provider, claims, contact.organizationId);
  return await setPermissions(transaction, deps, provider, contact, permissions);
}

/** Gives a contact these permissions in the name of its provider, and takes all others away. */
export async function setPermissions(
  transaction: Transaction,
  { clock }: Pick<Deps, 'clock'>,
  provider: IdentityProvider,
  contact: Contact,
  permissions: readonly Permission[],
): Promise<Contact> {
  if (isSame(permissions, contact.permissions)) return contact;
  const at = new Date(clock());
  await saveContact(transaction, { ...contact, permissions }, at);
  const narrowed = { kind: 'narrowed_contact' as const, id: contact.id, at };
  await recordNarrowed(transaction, narrowed, contact.permissions, permissions);
  await appendAuditEvent(transaction, {
    at,
    actor: actorOf(provider),
    action: 'contact.update',
    targetType: 'contact',
    target: contact.id,
    before: { permissions: contact.permissions },
    after: { permissions },
  });
  return { ...contact, permissions };
}

function isSame(some: readonly Permission[], others: readonly Permission[]): boolean {
  return some.length === others.length && some.every((permission) => others.includes(permission));
}

export function actorOf({ id, name }: IdentityProvider): Actor {
  return { id: `identity-provider:${id}`, name, address: null };
}
