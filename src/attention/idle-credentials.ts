import type { Queryable, Row } from '../storage/database.ts';
import { coalesced } from '../storage/organization-limit.ts';
import {
  type AttentionItem,
  type AttentionSubject,
  dayMs,
  expiringMs,
  maxCount,
  type Urgency,
  unusedMs,
  urgentMs,
  withoutUse,
} from './attention-item.ts';
import { contactName, ofClient, ofKey } from './subjects.ts';

type KeyRow = Row & {
  id: string;
  name: string;
  contact: string;
  contact_name: string;
  at: Date;
  last_used_at: Date | null;
};

/** An access key that nobody used in this time causes no failure when it expires. */
const inUseMs = 30 * dayMs;

/** The end of an access key as its index has it. Lists of expired keys, which have another order, use another form. */
export const endOfKey = () => coalesced('expires_at', `'infinity'`);
const lastUse = () => coalesced('last_used_at', 'created_at');

/** Selects the enabled access keys that expire after $1 and before $2. */
export const expiringKeys = () => `SELECT * FROM access_keys
  WHERE enabled AND ${endOfKey()} > $1 AND ${endOfKey()} < $2`;

/** Lists the enabled access keys that expire soon, the first to expire first. */
export async function findExpiringKeys(database: Queryable, now: number, limit: number): Promise<AttentionItem[]> {
  const rows = await database.query<KeyRow>(
    `SELECT k.id, k.name, k.contact, ${contactName} AS contact_name, k.expires_at AS at, k.last_used_at FROM (${expiringKeys()}) k
     ORDER BY ${endOfKey()} LIMIT $3`,
    [new Date(now), new Date(now + expiringMs), limit],
  );
  return rows.map((row) => {
    const isInUse = row.last_used_at !== null && now - row.last_used_at.getTime() < inUseMs;
    const endsSoon = row.at.getTime() - now < urgentMs;
    return itemOf('access_key_expiring', isInUse ? (endsSoon ? 'urgent' : 'soon') : 'later', ofKey(row), row.at);
  });
}

export async function countExpiringKeys(database: Queryable, now: number): Promise<number> {
  // Without an order, PostgreSQL can read the whole table if it expects that most keys expire.
  const query = `${expiringKeys()} ORDER BY ${endOfKey()}`;
  return await countRows(database, query, [new Date(now), new Date(now + expiringMs)]);
}

/** Condition for rows of `clients` or `access_keys` that may be unused since $1, as their index has it. */
const unusedSince = () => `enabled AND ${lastUse()} < $1`;
const ofIntegrations = `kind = 'integration' AND`;

/**
 * The column of an integration is up to a day late, and empty for what happened before it existed, so the sources of
 * usage decide. At most `maxCount` integrations are examined.
 */
export const unusedClients = () => selectUnusedClients(unusedSince());

function selectUnusedClients(condition: string): string {
  return `SELECT id, client_id, name, last_used_at, created_at FROM (
    SELECT * FROM clients WHERE ${ofIntegrations} ${condition} ORDER BY ${lastUse()} LIMIT ${maxCount}
  ) c LEFT JOIN LATERAL (
    SELECT true AS is_used FROM usage_sources u WHERE u.owner = c.id AND u.last_used_at >= $1 LIMIT 1
  ) u ON true WHERE is_used IS NULL`;
}

export const unusedKeys = () => selectUnusedKeys(unusedSince());

function selectUnusedKeys(condition: string): string {
  return `SELECT * FROM (
    SELECT * FROM access_keys WHERE ${condition} ORDER BY ${lastUse()} LIMIT ${maxCount}
  ) k WHERE coalesce(k.expires_at, 'infinity') > $2`;
}

/** Lists enabled integrations that were neither used nor created in the last 90 days, the longest unused first. */
export async function findUnusedClients(database: Queryable, now: number, limit: number): Promise<AttentionItem[]> {
  const rows = await database.query<{ client_id: string; name: string; last_used_at: Date | null }>(
    `${unusedClients()} ORDER BY coalesce(last_used_at, created_at) LIMIT $2`,
    [new Date(now - unusedMs), limit],
  );
  return rows.map((row) => itemOf('unused_client', 'later', ofClient(row.client_id, row.name), row.last_used_at));
}

/** Lists enabled access keys that were neither used nor created in the last 90 days, the longest unused first. */
export async function findUnusedKeys(database: Queryable, now: number, limit: number): Promise<AttentionItem[]> {
  const rows = await database.query<Omit<KeyRow, 'at'>>(
    `SELECT k.id, k.name, k.contact, ${contactName} AS contact_name, k.last_used_at FROM (${unusedKeys()}) k
     ORDER BY coalesce(k.last_used_at, k.created_at) LIMIT $3`,
    [new Date(now - unusedMs), new Date(now), limit],
  );
  return rows.map((row) =>
    itemOf('unused_access_key', 'later', ofKey(row as KeyRow), row['last_used_at'] as Date | null),
  );
}

/** An integration or access key that became unused, with its internal id. */
type NewlyUnused = { type: 'client' | 'access_key'; id: string; lastUsedAt: Date | null };

/**
 * Finds the enabled integrations and access keys that became unused lately, at most `maxCount` of each.
 * @param withinMs how long ago they became unused at most.
 */
export async function findNewlyUnused(database: Queryable, now: number, withinMs: number): Promise<NewlyUnused[]> {
  const newly = `${unusedSince()} AND coalesce(last_used_at, created_at) >= $3 AND $2::timestamptz IS NOT NULL`;
  const parameters = [new Date(now - unusedMs), new Date(now), new Date(now - unusedMs - withinMs)];
  type UnusedRow = { id: string; last_used_at: Date | null };
  const clients = await database.query<UnusedRow>(selectUnusedClients(newly), parameters);
  const keys = await database.query<UnusedRow>(selectUnusedKeys(newly), parameters);
  return [
    ...clients.map((row) => ({ type: 'client' as const, id: row.id, lastUsedAt: row.last_used_at })),
    ...keys.map((row) => ({ type: 'access_key' as const, id: row.id, lastUsedAt: row.last_used_at })),
  ];
}

/** Counts unused integrations or access keys, at most `maxCount`. */
export async function countUnused(database: Queryable, table: 'clients' | 'access_keys', now: number): Promise<number> {
  const since = new Date(now - unusedMs);
  return table === 'clients'
    ? await countRows(database, unusedClients(), [since])
    : await countRows(database, unusedKeys(), [since, new Date(now)]);
}

async function countRows(database: Queryable, query: string, parameters: readonly unknown[]): Promise<number> {
  const rows = await database.query<{ count: number }>(
    `SELECT count(*) AS count FROM (${query} LIMIT ${maxCount}) found`,
    parameters,
  );
  return rows[0]?.count ?? 0;
}

function itemOf(
  kind: AttentionItem['kind'],
  urgency: Urgency,
  subject: AttentionSubject,
  at: Date | null,
): AttentionItem {
  return {
    kind,
    urgency,
    subject,
    at,
    ...withoutUse,
  };
}
