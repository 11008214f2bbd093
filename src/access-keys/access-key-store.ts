import type { HeldOrganization } from '../clients/ceiling.ts';
import { hasLabel, type LabelFilter } from '../clients/client-details.ts';
import { holdOrganizationsOf } from '../clients/hold-organizations.ts';
import { newTokenEpoch } from '../credentials/secret.ts';
import { NotFound } from '../errors.ts';
import { type SecretOwner, secretsJson } from '../secrets/secret-store.ts';
import { recordChange } from '../storage/change.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { coalesced, ownOrganization } from '../storage/organization-limit.ts';
import { countRows, type Page, type Slice, selectPage, type Total } from '../storage/page-by-text.ts';
import type { AccessKey, AccessKeyStatus, KnownAccessKey } from './access-key.ts';
import { type KeyRow, storedLimits, storedNotes, toAccessKey, toKnown } from './access-key-row.ts';

export type FoundAccessKey = KnownAccessKey & { organizationId: string; isOrganizationEnabled: boolean };

/** Finds a key with its values, and its organization, which is that of its contact. */
export async function findKnownAccessKey(database: Queryable, id: string): Promise<FoundAccessKey | undefined> {
  const [row] = await database.query<KeyRow & { secrets: string; organization_enabled: boolean }>(
    `SELECT k.*, o.enabled AS organization_enabled, ${secretsJson('access_key', 'k.id')} AS secrets
     FROM access_keys k JOIN organizations o ON o.id = k.organization WHERE k.id = $1`,
    [id],
  );
  return row && { ...toKnown(row), organizationId: row.organization, isOrganizationEnabled: row.organization_enabled };
}

/** Finds a key and locks it until the transaction ends. */
export async function lockAccessKey(transaction: Transaction, id: string): Promise<AccessKey | undefined> {
  const rows = await transaction.query<KeyRow>('SELECT * FROM access_keys WHERE id = $1 FOR UPDATE', [id]);
  return rows[0] && toAccessKey(rows[0]);
}

/**
 * Locks the organization of a key's contact, so that its ceiling holds, and then the key.
 * @throws {NotFound}
 */
export async function requireKeyAndOrganization(
  transaction: Transaction,
  id: string,
): Promise<{ key: AccessKey; organization: HeldOrganization }> {
  const query = 'SELECT organization FROM access_keys WHERE id = $1';
  const held = await holdOrganizationsOf(transaction, query, id);
  const key = await lockAccessKey(transaction, id);
  if (!key) throw new NotFound('access key');
  const [row] = await transaction.query<{ organization: string }>(query, [id]);
  return { key, organization: held(row?.organization ?? '') };
}

export type AccessKeyFilter = {
  contactId?: string | undefined;
  /** Keys of the contacts of this organization. */
  organizationId?: string | undefined;
  status?: AccessKeyStatus | undefined;
  /**
   * Prefixes of words in the names of the key and its contact, all of which must match; or `…` and the last four
   * characters of its value.
   */
  q?: string | undefined;
  /** Keys that were neither used nor created since this date. */
  unusedSince?: Date | undefined;
  label?: LabelFilter | undefined;
  /** Keys that may be used with the client of this id: those limited to it, and those that are not limited. */
  client?: string | undefined;
  /** If given, only keys with these ids are listed. */
  among?: readonly string[] | undefined;
  now: Date;
};

/** Lists keys. Returns one row more than `limit` if there is another page. */
export async function listAccessKeys(database: Queryable, filter: AccessKeyFilter & Slice): Promise<KnownAccessKey[]> {
  const parameters: unknown[] = [];
  const page = { ...pageOf(filter, parameters), slice: filter };
  const rows = await selectPage<KeyRow & { secrets: string }>(database, page, {
    select: (query, order) =>
      `SELECT page.*, ${secretsJson('access_key', 'page.id')} AS secrets FROM (${query}) page ${order}`,
    parameters,
  });
  return rows.map(toKnown);
}

/** Counts the keys of all pages of a list. */
export async function countAccessKeys(database: Queryable, filter: AccessKeyFilter): Promise<Total> {
  return await countRows(database, (parameters) => pageOf(filter, parameters));
}

/** Describes the rows of a list. @param parameters the values of the placeholders are added to it. */
function pageOf(filter: AccessKeyFilter, parameters: unknown[]): Omit<Page, 'slice'> {
  const { q, among } = filter;
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  return {
    table: 'access_keys',
    isOfOrganization: filter.organizationId !== undefined,
    where: conditionsOf(filter, bind),
    among: among && bind(among),
    search: q === undefined || hintOf(q) ? undefined : { words: 'words', text: q },
  };
}

type Bind = (value: unknown) => string;

/** Element that the index of the keys' clients has for a key that any client may use. */
const anyClient = '00000000-0000-0000-0000-000000000000';

/** Builds the SQL conditions of a filter, each in the form that its index needs. */
function conditionsOf(filter: AccessKeyFilter, bind: Bind): string[] {
  const { contactId, organizationId, status, unusedSince, label, client, now, q } = filter;
  const conditions: string[] = [];
  if (contactId !== undefined) conditions.push(`contact = ${bind(contactId)}`);
  if (organizationId) conditions.push(`organization = ${bind(organizationId)}`);
  if (status) conditions.push(status === 'disabled' ? 'NOT enabled' : 'enabled');
  const end = coalesced('expires_at', `'infinity'`);
  if (status === 'enabled') conditions.push(`${end} > ${bind(now)}`);
  if (status === 'expired') conditions.push(`${ownOrganization() === undefined ? 'expires_at' : end} <= ${bind(now)}`);
  if (unusedSince) conditions.push(`${coalesced('last_used_at', 'created_at')} < ${bind(unusedSince)}`);
  if (label) conditions.push(hasLabel(label, bind));
  if (client) conditions.push(`coalesce(clients, '{${anyClient}}') && ARRAY[${bind(client)}, '${anyClient}']::uuid[]`);
  const hint = hintOf(q);
  if (hint) {
    conditions.push(`id IN (SELECT access_key FROM secrets WHERE access_key IS NOT NULL AND hint = ${bind(hint)})`);
  }
  return conditions;
}

/** Returns the end of a value if the query has the form of a hint (`…Ab3x`), otherwise undefined. */
function hintOf(q: string | undefined): string | undefined {
  return /^…(.{4})$/.exec(q ?? '')?.[1];
}

export async function insertAccessKey(transaction: Transaction, key: AccessKey): Promise<void> {
  await transaction.query(
    `INSERT INTO access_keys (id, contact, name, scope, clients, enabled, reveal, expires_at, created_at, updated_at, description,
       labels, claims, standalone, allowed_networks, requests_per_minute, network_mode)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13::jsonb, $14, $15, $16, $17)`,
    [
      key.id,
      key.contactId,
      key.name,
      key.scope,
      key.clients,
      key.enabled,
      key.reveal,
      key.expiresAt,
      key.createdAt,
      key.updatedAt,
      ...storedNotes(key),
      ...storedLimits(key),
    ],
  );
}

/**
 * Saves the changeable members, increments the revision and records the change for other processes. Returns the saved
 * key.
 */
export async function saveAccessKey(transaction: Transaction, key: AccessKey, at: Date): Promise<AccessKey> {
  const rows = await transaction.query<KeyRow>(
    `UPDATE access_keys SET name = $2, scope = $3, clients = $4, enabled = $5, expires_at = $6, token_epoch = $7,
       updated_at = $8, description = $9, labels = $10::jsonb, claims = $11::jsonb, standalone = $12, allowed_networks = $13,
       requests_per_minute = $14, network_mode = $15, revision = revision + 1
     WHERE id = $1 RETURNING *`,
    [
      key.id,
      key.name,
      key.scope,
      key.clients,
      key.enabled,
      key.expiresAt,
      key.tokenEpoch,
      at,
      ...storedNotes(key),
      ...storedLimits(key),
    ],
  );
  await announceAccessKey(transaction, key.id, at);
  return toAccessKey(rows[0] as KeyRow);
}

export async function deleteAccessKey(transaction: Transaction, id: string, at: Date): Promise<void> {
  await announceAccessKey(transaction, id, at);
  await transaction.query('DELETE FROM access_keys WHERE id = $1', [id]);
}

/**
 * Records that the key was used, after which it cannot be removed. Cached keys do not depend on this, so the change is
 * not announced.
 * @returns false if the key was removed meanwhile.
 */
export async function markAccessKeyUsed(database: Queryable, id: string, at: Date): Promise<boolean> {
  const rows = await database.query(
    'UPDATE access_keys SET used_at = coalesce(used_at, $2), last_used_at = coalesce(last_used_at, $2) WHERE id = $1 RETURNING 1',
    [id, at],
  );
  return rows.length > 0;
}

/** Maps Client IDs to ids. Client IDs that do not exist are missing from the result. */
export async function findClientIds(database: Queryable, clientIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await database.query<{ client_id: string; client: string }>(
    'SELECT client_id, client FROM client_ids WHERE client_id = ANY ($1)',
    [clientIds],
  );
  return new Map(rows.map((row) => [row.client_id, row.client]));
}

/** Maps ids of clients to their current Client IDs, in one statement for a page of keys. */
export async function nameClients(database: Queryable, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await database.query<{ id: string; client_id: string }>(
    'SELECT id, client_id FROM clients WHERE id = ANY ($1::uuid[])',
    [ids],
  );
  return new Map(rows.map((row) => [row.id, row.client_id]));
}

async function announceAccessKey(transaction: Transaction, id: string, at: Date): Promise<void> {
  await recordChange(transaction, { kind: 'access_key', target: id, at });
}

/**
 * Presents a locked access key as an owner of secrets, so that access keys and client secrets share the code that
 * regenerates them.
 */
export function asSecretOwner(key: AccessKey): SecretOwner {
  return {
    kind: 'access_key',
    id: key.id,
    prefix: 'ktk_',
    pepper: 'access-key-pepper',
    reveal: key.reveal,
    target: key.id,
    targetType: 'access_key',
    clientId: null,
    organizationId: null,
    registration: null,
    bindsTokens: false,
    dialects: [],
    enabled: key.enabled,
    revision: key.revision,
    tokenEpoch: key.tokenEpoch,
    save: async (transaction, change, at) => {
      const tokenEpoch = change.tokens === 'revoke' ? newTokenEpoch() : key.tokenEpoch;
      await saveAccessKey(transaction, { ...key, tokenEpoch }, at);
    },
  };
}

/** Returns the locked access key as the owner of its values. @throws {NotFound} */
export async function requireAccessKeyOwner(transaction: Transaction, id: string): Promise<SecretOwner> {
  const key = await lockAccessKey(transaction, id);
  if (!key) throw new NotFound('access key');
  return asSecretOwner(key);
}
