import type { Verifier } from '../credentials/verifier.ts';
import { recordChange, recordNarrowed } from '../storage/change.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { recordRemovedWith } from '../storage/lost-rows.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { countRows, type Page, type Slice, selectPage, type Total } from '../storage/page-by-text.ts';
import type { Contact, ContactLanguage, Permission } from './contact.ts';

type ContactRow = Row & {
  id: string;
  organization: string;
  name: string;
  email: string;
  external_id: string | null;
  language: ContactLanguage | null;
  permissions: Permission[];
  hint: string | null;
  revision: number;
  created_at: Date;
  updated_at: Date;
};

/**
 * SQL condition for contacts `c` that get into neither the admin API nor the console: people at an identity provider who
 * have no permissions, because it may have removed them. Others without permissions see their own access keys.
 */
export const isShutOut = `(c.permissions = '{}' AND EXISTS (SELECT FROM contact_identities i WHERE i.contact = c.id))`;

const selectContacts = 'SELECT c.*, t.hint FROM contacts c LEFT JOIN operator_tokens t ON t.contact = c.id';

export async function findContact(database: Queryable, id: string): Promise<Contact | undefined> {
  const rows = await database.query<ContactRow>(`${selectContacts} WHERE c.id = $1`, [id]);
  return rows[0] && toContact(rows[0]);
}

export async function lockContact(transaction: Transaction, id: string): Promise<Contact | undefined> {
  const rows = await transaction.query<ContactRow>(`${selectContacts} WHERE c.id = $1 FOR UPDATE OF c`, [id]);
  return rows[0] && toContact(rows[0]);
}

/** Finds the contacts of an organization with an e-mail address, in any case; at most two. */
export async function findContactsByEmail(
  transaction: Transaction,
  organizationId: string,
  email: string,
): Promise<Contact[]> {
  const rows = await transaction.query<ContactRow>(
    `${selectContacts} WHERE c.organization = $1 AND lower(c.email) = lower($2) LIMIT 2`,
    [organizationId, email],
  );
  return rows.map(toContact);
}

/**
 * Finds the contact with this operator token, and whether its organization is enabled.
 * @param verifiers the HMACs of the token under every version of the pepper.
 */
export async function findContactByOperatorToken(
  database: Queryable,
  verifiers: readonly Uint8Array[],
): Promise<(Contact & { isOrganizationEnabled: boolean }) | undefined> {
  const [row] = await database.query<ContactRow & { organization_enabled: boolean }>(
    `SELECT c.*, t.hint, o.enabled AS organization_enabled FROM contacts c JOIN operator_tokens t ON t.contact = c.id
     JOIN organizations o ON o.id = c.organization WHERE t.verifier = ANY ($1::bytea[]) AND NOT ${isShutOut}`,
    [verifiers],
  );
  return row && { ...toContact(row), isOrganizationEnabled: row.organization_enabled };
}

export type ContactFilter = {
  /** Beginnings of words in the name or e-mail address, all of which must match; or an external id. */
  q?: string | undefined;
  organizationId?: string | undefined;
};

/** Lists contacts. Returns one row more than `limit` if there is another page. */
export async function listContacts(database: Queryable, filter: ContactFilter & Slice): Promise<Contact[]> {
  const parameters: unknown[] = [];
  const page = { ...pageOf(filter, parameters), slice: filter };
  const rows = await selectPage<ContactRow>(database, page, {
    select: (query, order) =>
      `SELECT page.*, t.hint FROM (${query}) page LEFT JOIN operator_tokens t ON t.contact = page.id ${order}`,
    parameters,
  });
  return rows.map(toContact);
}

/** Counts the contacts of all pages of a list. */
export async function countContacts(database: Queryable, filter: ContactFilter): Promise<Total> {
  return await countRows(database, (parameters) => pageOf(filter, parameters));
}

/** Describes the rows of a list. @param parameters the values of the placeholders are added to it. */
function pageOf({ q, organizationId }: ContactFilter, parameters: unknown[]): Omit<Page, 'slice'> {
  return {
    table: 'contacts',
    isOfOrganization: organizationId !== undefined,
    where: organizationId ? [`organization = $${parameters.push(organizationId)}`] : [],
    search:
      q === undefined
        ? undefined
        : {
            words: 'array_to_tsvector(words_of(name) || words_of(email))',
            walkedText: `name || ' ' || email`,
            text: q,
            exact: (text: string) => `external_id = ${text}`,
          },
  };
}

/** Returns the names of contacts by id, in one statement. */
export async function nameContacts(database: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const rows = await database.query<{ id: string; name: string }>(
    'SELECT id, name FROM contacts WHERE id = ANY ($1::uuid[])',
    [[...new Set(ids)]],
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}

/**
 * Locks every holder of `contacts:manage` in the organization of the deployment, which cannot be disabled, so that two
 * holders cannot lose it at the same time.
 * @returns the ids of those that can use it, because they have an operator token.
 */
export async function lockContactManagers(transaction: Transaction): Promise<string[]> {
  const rows = await transaction.query<{ id: string }>(
    `SELECT id FROM contacts WHERE 'contacts:manage' = ANY (permissions) AND organization = $1 ORDER BY id FOR UPDATE`,
    [deploymentOrganization],
  );
  // A statement of its own, after the locks: of two transactions that take a token away, the second sees what the first has done.
  const able = await transaction.query<{ contact: string }>(
    'SELECT contact FROM operator_tokens WHERE contact = ANY ($1::uuid[])',
    [rows.map(({ id }) => id)],
  );
  return able.map(({ contact }) => contact);
}

export async function externalIdIsTaken(
  database: Queryable,
  externalId: string,
  byOtherThan: string,
): Promise<boolean> {
  const rows = await database.query('SELECT 1 FROM contacts WHERE external_id = $1 AND id <> $2', [
    externalId,
    byOtherThan,
  ]);
  return rows.length > 0;
}

export async function insertContact(transaction: Transaction, contact: Contact): Promise<void> {
  await transaction.query(
    `INSERT INTO contacts (id, organization, name, email, external_id, permissions, revision, created_at, updated_at, language)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      contact.id,
      contact.organizationId,
      contact.name,
      contact.email,
      contact.externalId,
      contact.permissions,
      contact.revision,
      contact.createdAt,
      contact.updatedAt,
      contact.language,
    ],
  );
}

export async function saveContact(transaction: Transaction, contact: Contact, at: Date): Promise<void> {
  await transaction.query(
    `UPDATE contacts SET name = $2, email = $3, external_id = $4, permissions = $5, updated_at = $6, organization = $7,
       language = $8, revision = revision + 1
     WHERE id = $1`,
    [
      contact.id,
      contact.name,
      contact.email,
      contact.externalId,
      contact.permissions,
      at,
      contact.organizationId,
      contact.language,
    ],
  );
}

/** Locks all access keys of the contact in the order of their ids, so that none becomes live meanwhile. */
export async function lockKeysOf(
  transaction: Transaction,
  contactId: string,
  now: Date,
): Promise<{ id: string; name: string; isLive: boolean }[]> {
  return await transaction.query<{ id: string; name: string; isLive: boolean }>(
    `SELECT id, name, enabled AND (expires_at IS NULL OR expires_at > $2) AS "isLive" FROM access_keys WHERE contact = $1
     ORDER BY id FOR UPDATE`,
    [contactId, now],
  );
}

/** Finds the clients that a contact owns: up to `limit`, with their total number. */
export async function findOwnedClients(
  transaction: Transaction,
  contactId: string,
  limit: number,
): Promise<{ clients: { client_id: string; name: string }[]; total: number }> {
  const rows = await transaction.query<{ client_id: string; name: string; total: number }>(
    `SELECT client_id, name, count(*) OVER () AS total FROM clients WHERE owner_contact = $1 ORDER BY created_at, id LIMIT $2`,
    [contactId, limit],
  );
  return { clients: rows.map(({ client_id, name }) => ({ client_id, name })), total: rows[0]?.total ?? 0 };
}

/** Deletes a contact with its access keys and records each as a change for other processes. */
export async function deleteContact(transaction: Transaction, id: string, at: Date): Promise<void> {
  const keys = await transaction.query<{ id: string }>('DELETE FROM access_keys WHERE contact = $1 RETURNING id', [id]);
  for (const { id: target } of keys) {
    await recordChange(transaction, { kind: 'access_key', target, at });
    await recordChange(transaction, { kind: 'disabled_access_key', target, at });
  }
  await deleteOperatorToken(transaction, id, at);
  const tokens = await transaction.query<{ id: string }>('SELECT id FROM bounded_tokens WHERE contact = $1', [id]);
  for (const token of tokens) await recordChange(transaction, { kind: 'removed_bounded_token', target: token.id, at });
  await recordRemovedWith(transaction, id, at);
  const [deleted] = await transaction.query<{ permissions: Permission[] }>(
    'DELETE FROM contacts WHERE id = $1 RETURNING permissions',
    [id],
  );
  await recordNarrowed(transaction, { kind: 'narrowed_contact', id, at }, deleted?.permissions ?? [], []);
}

export async function replaceOperatorToken(
  transaction: Transaction,
  contactId: string,
  token: Verifier & { hint: string },
  at: Date,
): Promise<void> {
  await transaction.query(
    `INSERT INTO operator_tokens (contact, verifier, key_version, hint, created_at) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (contact) DO UPDATE SET verifier = $2, key_version = $3, hint = $4, created_at = $5`,
    [contactId, token.verifier, token.keyVersion, token.hint, at],
  );
  await recordRemovedToken(transaction, contactId, at);
}

/** Deletes the contact's operator token. Returns whether there was one. */
export async function deleteOperatorToken(transaction: Transaction, contactId: string, at: Date): Promise<boolean> {
  const rows = await transaction.query('DELETE FROM operator_tokens WHERE contact = $1 RETURNING 1', [contactId]);
  await recordRemovedToken(transaction, contactId, at);
  return rows.length > 0;
}

/** Records that the previous operator token ended, so that it ends again if the database loses that. */
async function recordRemovedToken(transaction: Transaction, contactId: string, at: Date): Promise<void> {
  await recordChange(transaction, { kind: 'removed_operator_token', target: contactId, at });
}

function toContact(row: ContactRow): Contact {
  return {
    id: row.id,
    organizationId: row.organization,
    name: row.name,
    email: row.email,
    externalId: row.external_id,
    language: row.language,
    permissions: row.permissions,
    operatorTokenHint: row.hint,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
