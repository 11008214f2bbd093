import { parseSecrets, secretsJson } from '../regeneration/secret-store.ts';
import type { UsageBatch } from '../regeneration/usage-store.ts';
import { recordChange } from '../storage/change-feed.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { AccessKey, AccessKeyStatus, KnownAccessKey } from './access-key.ts';

type KeyRow = Row & {
  id: string;
  contact: string;
  name: string;
  scope: string[];
  clients: string[] | null;
  enabled: boolean;
  reveal: boolean;
  expires_at: Date | null;
  used_at: Date | null;
  last_used_at: Date | null;
  token_epoch: number;
  revision: number;
  created_at: Date;
  updated_at: Date;
};

const knownKey = `SELECT k.*, ${secretsJson('access_key', 'k.id')} AS secrets FROM access_keys k`;

export async function findKnownAccessKey(database: Queryable, id: string): Promise<KnownAccessKey | undefined> {
  const rows = await database.query<KeyRow & { secrets: string }>(`${knownKey} WHERE k.id = $1`, [id]);
  return rows[0] && toKnown(rows[0]);
}

/** The key, locked until the transaction ends. */
export async function lockAccessKey(transaction: Transaction, id: string): Promise<AccessKey | undefined> {
  const rows = await transaction.query<KeyRow>('SELECT * FROM access_keys WHERE id = $1 FOR UPDATE', [id]);
  return rows[0] && toAccessKey(rows[0]);
}

export type AccessKeyFilter = {
  contactId?: string | undefined;
  status?: AccessKeyStatus | undefined;
  /** The beginning of the key's or of its contact's name. */
  q?: string | undefined;
  /** Neither used nor made since. */
  unusedSince?: Date | undefined;
  now: Date;
  limit: number;
  after?: { createdAt: Date; id: string } | undefined;
};

/** Newest first. One row more than `limit` says that there is another page. Only the conditions that are asked for are in the statement, so each filter has its index. */
export async function listAccessKeys(database: Queryable, filter: AccessKeyFilter): Promise<KnownAccessKey[]> {
  const parameters: unknown[] = [];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const conditions = ['true'];
  const keys = filter.q === undefined ? 'access_keys' : keysNamed(bind(`${escapeLike(filter.q.toLowerCase())}%`));
  if (filter.contactId !== undefined) conditions.push(`k.contact = ${bind(filter.contactId)}`);
  if (filter.status === 'disabled') conditions.push('NOT k.enabled');
  if (filter.status === 'expired') conditions.push(`k.enabled AND k.expires_at <= ${bind(filter.now)}`);
  if (filter.status === 'enabled') {
    conditions.push(`k.enabled AND (k.expires_at IS NULL OR k.expires_at > ${bind(filter.now)})`);
  }
  if (filter.unusedSince) conditions.push(`coalesce(k.last_used_at, k.created_at) < ${bind(filter.unusedSince)}`);
  if (filter.after)
    conditions.push(`(k.created_at, k.id) < (${bind(filter.after.createdAt)}, ${bind(filter.after.id)}::uuid)`);
  const rows = await database.query<KeyRow & { secrets: string }>(
    // The page is cut before anything is read for its rows.
    `SELECT k.*, ${secretsJson('access_key', 'k.id')} AS secrets FROM (
       SELECT k.* FROM ${keys} k WHERE ${conditions.join(' AND ')}
       ORDER BY k.created_at DESC, k.id DESC LIMIT ${bind(filter.limit + 1)}
     ) k ORDER BY k.created_at DESC, k.id DESC`,
    parameters,
  );
  return rows.map(toKnown);
}

/** The keys whose name, or whose contact's name, begins so; each way by its index, and no key twice. */
function keysNamed(prefix: string): string {
  return `(SELECT * FROM access_keys WHERE lower(name) LIKE ${prefix}
    UNION ALL SELECT a.* FROM contacts c JOIN access_keys a ON a.contact = c.id
    WHERE lower(c.name) LIKE ${prefix} AND NOT lower(a.name) LIKE ${prefix})`;
}

function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

export async function insertAccessKey(transaction: Transaction, key: AccessKey): Promise<void> {
  await transaction.query(
    `INSERT INTO access_keys (id, contact, name, scope, clients, enabled, reveal, expires_at, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
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
    ],
  );
}

/** Writes what may change, raises the revision, and tells every process. Returns it as it is now. */
export async function saveAccessKey(transaction: Transaction, key: AccessKey, at: Date): Promise<AccessKey> {
  const rows = await transaction.query<KeyRow>(
    `UPDATE access_keys SET name = $2, scope = $3, clients = $4, enabled = $5, expires_at = $6, token_epoch = $7,
       updated_at = $8, revision = revision + 1 WHERE id = $1 RETURNING *`,
    [key.id, key.name, key.scope, key.clients, key.enabled, key.expiresAt, key.tokenEpoch, at],
  );
  await announceAccessKey(transaction, key.id, at);
  return toAccessKey(rows[0] as KeyRow);
}

export async function deleteAccessKey(transaction: Transaction, id: string, at: Date): Promise<void> {
  await announceAccessKey(transaction, id, at);
  await transaction.query('DELETE FROM access_keys WHERE id = $1', [id]);
}

/**
 * Writes that the key was used: from then on it cannot be removed. That changes nothing that is asked of a cached key, so it is not
 * announced.
 * @returns false when it was removed in the meantime.
 */
export async function markAccessKeyUsed(database: Queryable, id: string, at: Date): Promise<boolean> {
  const rows = await database.query(
    'UPDATE access_keys SET used_at = coalesce(used_at, $2), last_used_at = coalesce(last_used_at, $2) WHERE id = $1 RETURNING 1',
    [id, at],
  );
  return rows.length > 0;
}

/**
 * Writes when keys were used last, in the batch that counts it: to within an hour, so that a key in steady use is written once an
 * hour. In the order of ids, in which whoever locks several keys does it.
 */
export async function noteLastUse(transaction: Transaction, { sources }: UsageBatch): Promise<void> {
  const uses = sources.filter((source) => source.last_used_at !== null);
  await transaction.query(
    `WITH due AS (
       SELECT k.id, u.at FROM access_keys k JOIN (
         SELECT owner, max(last_used_at) AS at FROM jsonb_to_recordset($1::jsonb) AS b (owner uuid, last_used_at timestamptz)
         GROUP BY owner
       ) u ON u.owner = k.id
       WHERE k.last_used_at IS NULL OR k.last_used_at < u.at - interval '1 hour'
       ORDER BY k.id FOR NO KEY UPDATE OF k
     ) UPDATE access_keys k SET last_used_at = due.at FROM due WHERE k.id = due.id`,
    [JSON.stringify(uses.map(({ owner, last_used_at }) => ({ owner, last_used_at })))],
  );
}

/** The ids of clients by their Client IDs; what is missing names no client. */
export async function findClientIds(database: Queryable, clientIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await database.query<{ client_id: string; client: string }>(
    'SELECT client_id, client FROM client_ids WHERE client_id = ANY ($1)',
    [clientIds],
  );
  return new Map(rows.map((row) => [row.client_id, row.client]));
}

/** The current Client IDs of clients by their ids, for a page of keys in one statement. */
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

function toKnown(row: KeyRow & { secrets: string }): KnownAccessKey {
  return { key: toAccessKey(row), secrets: parseSecrets(row.secrets) };
}

function toAccessKey(row: KeyRow): AccessKey {
  return {
    id: row.id,
    contactId: row.contact,
    name: row.name,
    scope: row.scope,
    clients: row.clients,
    enabled: row.enabled,
    reveal: row.reveal,
    expiresAt: row.expires_at,
    usedAt: row.used_at,
    lastUsedAt: row.last_used_at,
    tokenEpoch: row.token_epoch,
    revision: row.revision,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
