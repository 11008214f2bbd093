import { randomUUID } from 'node:crypto';
import { appendAuditEvent } from '../audit/audit-log.ts';
import { holdOrganizations } from '../clients/hold-organizations.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { issueSecret } from '../credentials/secret.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { Conflict, NotFound, requireRevision } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import { recordNarrowed } from '../storage/change.ts';
import { type Queryable, type Transaction, unlessTaken } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import type { Contact, ContactLanguage, Permission } from './contact.ts';
import {
  deleteContact as deleteContactRow,
  deleteOperatorToken,
  externalIdIsTaken,
  findContact,
  findContactByOperatorToken,
  findOwnedClients,
  insertContact,
  lockContact,
  lockContactManagers,
  lockKeysOf,
  replaceOperatorToken,
  saveContact,
} from './contact-store.ts';
import { type Grantor, requireMayGrant, requireUnbounded } from './grantor.ts';
import { holdForContact, moveKeys } from './move-contact.ts';

type ContactDeps = { keyRing: KeyRing; clock: Clock };

type NewContact = {
  /** Undefined for the organization of the deployment. */
  organizationId?: string | undefined;
  name: string;
  email: string;
  externalId?: string | null | undefined;
  language?: ContactLanguage | null | undefined;
  permissions?: readonly Permission[] | undefined;
};

export async function createContact(
  transaction: Transaction,
  deps: ContactDeps,
  grantor: Grantor,
  input: NewContact,
): Promise<Contact> {
  const at = new Date(deps.clock());
  const { organizationId = deploymentOrganization } = input;
  (await holdOrganizations(transaction, [organizationId]))(organizationId);
  const contact: Contact = {
    id: randomUUID(),
    organizationId,
    name: input.name,
    email: input.email,
    externalId: input.externalId ?? null,
    language: input.language ?? null,
    permissions: [...new Set(input.permissions ?? [])],
    operatorTokenHint: null,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  requireMayGrant(grantor, contact.permissions);
  await requireFreeExternalId(transaction, contact);
  await unlessTaken(insertContact(transaction, contact), externalIdTaken);
  await appendAuditEvent(transaction, {
    at,
    actor: grantor,
    action: 'contact.create',
    targetType: 'contact',
    target: contact.id,
    after: auditView(contact),
  });
  return contact;
}

/**
 * Changes only the given fields.
 * @throws {Conflict} `last_contacts_manager` if nobody of the deployment would be left who may manage contacts, or
 *   `ceiling_exceeded` if the access keys of a contact do not fit the organization that it moves to.
 */
export async function updateContact(
  transaction: Transaction,
  deps: ContactDeps,
  grantor: Grantor,
  id: string,
  patch: { [Field in keyof NewContact]?: NewContact[Field] | undefined },
  expectedRevisions?: readonly number[],
): Promise<Contact> {
  const at = new Date(deps.clock());
  const held =
    patch.organizationId === undefined ? undefined : await holdForContact(transaction, id, patch.organizationId);
  const managers = patch.permissions || held ? await lockContactManagers(transaction) : [];
  const contact = await requireContact(transaction, id);
  requireRevision(contact.revision, expectedRevisions);
  held?.(contact.organizationId);
  if (Object.values(patch).every((value) => value === undefined)) return contact;
  const changed: Contact = {
    ...contact,
    organizationId: patch.organizationId ?? contact.organizationId,
    name: patch.name ?? contact.name,
    email: patch.email ?? contact.email,
    externalId: patch.externalId === undefined ? contact.externalId : patch.externalId,
    language: patch.language === undefined ? contact.language : patch.language,
    permissions: patch.permissions ? [...new Set(patch.permissions)] : contact.permissions,
  };
  // Also for a name or an address: a contact that can do more than the grantor could be made to look like another.
  requireMayGrant(grantor, [...new Set([...contact.permissions, ...changed.permissions])]);
  const isManager =
    changed.permissions.includes('contacts:manage') && changed.organizationId === deploymentOrganization;
  if ((patch.permissions || held) && !isManager) requireAnotherManager(managers, id);
  if (held && changed.organizationId !== contact.organizationId) {
    await moveKeys(transaction, id, held(changed.organizationId), at);
  }
  await requireFreeExternalId(transaction, changed);
  await unlessTaken(saveContact(transaction, changed, at), externalIdTaken);
  const saved = (await findContact(transaction, id)) as Contact;
  await recordNarrowed(transaction, { kind: 'narrowed_contact', id, at }, contact.permissions, saved.permissions);
  await appendAuditEvent(transaction, {
    at,
    actor: grantor,
    action: 'contact.update',
    targetType: 'contact',
    target: id,
    before: auditView(contact),
    after: auditView(saved),
  });
  return saved;
}

/** Number of blocking keys or clients that an error lists. It also gives their total. */
const maxNamed = 10;

/**
 * Deletes a contact together with its access keys, provided that none is live and that it owns no client. Its history
 * stays in the audit log.
 * @throws {Conflict} `contact_has_keys` with the live keys, or `contact_owns_clients` with the clients.
 */
export async function deleteContact(
  transaction: Transaction,
  deps: ContactDeps,
  grantor: Grantor,
  id: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const managers = await lockContactManagers(transaction);
  const contact = await requireContact(transaction, id);
  requireMayGrant(grantor, contact.permissions);
  requireAnotherManager(managers, id);
  const keys = await lockKeysOf(transaction, id, at);
  const liveKeys = keys.filter(({ isLive }) => isLive);
  if (liveKeys.length > 0) {
    throw new Conflict('contact_has_keys', 'The contact has enabled access keys. Disable them first.', {
      access_keys: liveKeys.slice(0, maxNamed).map((key) => ({ id: key.id, name: key.name })),
      total: liveKeys.length,
    });
  }
  const owned = await findOwnedClients(transaction, id, maxNamed);
  if (owned.total > 0) {
    throw new Conflict('contact_owns_clients', 'The contact owns clients. Give them another owner first.', owned);
  }
  await deleteContactRow(transaction, id, at);
  for (const key of keys) {
    await appendAuditEvent(transaction, {
      at,
      actor: grantor,
      action: 'access_key.remove',
      targetType: 'access_key',
      target: key.id,
      organizationId: contact.organizationId,
      before: { contact_id: id, name: key.name },
    });
  }
  await appendAuditEvent(transaction, {
    at,
    actor: grantor,
    action: 'contact.delete',
    targetType: 'contact',
    target: id,
    organizationId: contact.organizationId,
    before: auditView(contact),
  });
}

/** Returns the contact, locked. @throws {NotFound} */
export async function requireContact(transaction: Transaction, id: string): Promise<Contact> {
  const contact = await lockContact(transaction, id);
  if (!contact) throw new NotFound('contact');
  return contact;
}

/** @throws {Forbidden} naming the permissions that the grantor lacks. */
/**
 * Refuses to take away the last contact that can manage contacts.
 * @param managers the contacts with that permission and an operator token.
 */
function requireAnotherManager(managers: readonly string[], id: string): void {
  if (managers.includes(id) && managers.length === 1) {
    throw new Conflict(
      'last_contacts_manager',
      'This is the last contact that has an operator token and the permission contacts:manage. Give both to another contact first.',
    );
  }
}

async function requireFreeExternalId(transaction: Transaction, contact: Contact): Promise<void> {
  if (contact.externalId !== null && (await externalIdIsTaken(transaction, contact.externalId, contact.id))) {
    throw externalIdTaken();
  }
}

function externalIdTaken(): Conflict {
  return new Conflict('external_id_taken', 'external_id: another contact already has this ID.');
}

function auditView(contact: Contact): Record<string, unknown> {
  const { organizationId, name, email, externalId, language, permissions } = contact;
  return { organization_id: organizationId, name, email, external_id: externalId, language, permissions };
}

/** Issues the contact's operator token. A previous token ends at once. No sealed copy is kept. */
export async function issueOperatorToken(
  transaction: Transaction,
  deps: ContactDeps,
  grantor: Grantor,
  contactId: string,
): Promise<{ contact: Contact; operatorToken: string }> {
  const at = new Date(deps.clock());
  const contact = await requireContact(transaction, contactId);
  requireUnbounded(grantor);
  // The token gives everything that the contact may do, so issuing it grants all of those permissions.
  requireMayGrant(grantor, contact.permissions);
  const { plaintext, sealed: _none, ...token } = issueSecret(deps.keyRing, 'kto_', 'operator-token-pepper', null);
  await replaceOperatorToken(transaction, contactId, token, at);
  await appendAuditEvent(transaction, {
    at,
    actor: grantor,
    action: 'operator_token.issue',
    targetType: 'operator_token',
    target: contactId,
    after: { hint: token.hint },
  });
  return { contact: { ...contact, operatorTokenHint: token.hint }, operatorToken: plaintext };
}

export async function revokeOperatorToken(
  transaction: Transaction,
  deps: ContactDeps,
  grantor: Grantor,
  contactId: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const managers = await lockContactManagers(transaction);
  const contact = await requireContact(transaction, contactId);
  requireMayGrant(grantor, contact.permissions);
  requireAnotherManager(managers, contactId);
  if (!(await deleteOperatorToken(transaction, contactId, at))) throw new NotFound('operator token');
  await appendAuditEvent(transaction, {
    at,
    actor: grantor,
    action: 'operator_token.revoke',
    targetType: 'operator_token',
    target: contactId,
    before: { hint: contact.operatorTokenHint },
  });
}

/**
 * Returns the contact that presents this operator token, as it is now, unless its organization is disabled. Malformed
 * values cause no query.
 */
export async function authenticateOperator(
  deps: { database: Queryable; keyRing: KeyRing },
  operatorToken: string,
): Promise<Contact | undefined> {
  if (!isWellFormedSecret(operatorToken, 'kto_')) return undefined;
  const verifiers = verifiersOf(deps.keyRing, 'operator-token-pepper', operatorToken);
  const contact = await findContactByOperatorToken(deps.database, verifiers);
  return contact?.isOrganizationEnabled ? contact : undefined;
}
