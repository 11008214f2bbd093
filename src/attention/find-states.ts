import type { Queryable } from '../storage/database.ts';
import { isOwn } from '../storage/organization-limit.ts';
import { expiringMs, maxCount, refusedAsEnded, refusedMs, refusedSources, unusedMs } from './attention-item.ts';
import { findEndingCertificates } from './ending-certificates.ts';
import { endOfKey, expiringKeys, unusedClients, unusedKeys } from './idle-credentials.ts';

/** States by which lists of clients and access keys can be filtered. */
export const states = ['in_grace_period', 'refused', 'unused', 'expiring'] as const;
export type State = (typeof states)[number];
type Listed = 'clients' | 'access_keys';

/**
 * Finds the clients or access keys that are in a state, with the limits that `findAttention` has.
 * @returns their internal ids, at most `maxCount`: those that end first, were rejected last, or are unused for longest.
 */
export async function findInState(database: Queryable, table: Listed, state: State, now: number): Promise<string[]> {
  if (state === 'expiring' && table === 'clients') {
    const ending = await findEndingCertificates(database, now);
    return ending.slice(0, maxCount).map(({ row }) => row.id);
  }
  const [query, parameters] = queryOf(table, state, now);
  const rows = await database.query<{ id: string }>(query, parameters);
  return [...new Set(rows.map(({ id }) => id))];
}

function queryOf(table: Listed, state: State, now: number): [query: string, parameters: readonly unknown[]] {
  const at = (ms: number) => new Date(now + ms);
  const owner = table === 'clients' ? 'client' : 'access_key';
  switch (state) {
    case 'in_grace_period':
      // Limit before the condition of the owner, which the index does not have.
      return [
        `SELECT ${owner} AS id FROM (
           SELECT client, access_key FROM secrets WHERE retires_at > $1 AND ended_as IS NULL AND ${isOwn('organization')}
           ORDER BY retires_at LIMIT ${2 * maxCount}
         ) s WHERE ${owner} IS NOT NULL LIMIT ${maxCount}`,
        [at(0)],
      ];
    case 'refused':
      return [`SELECT owner AS id FROM (${refusedSources()}) s`, [at(-refusedMs)]];
    case 'unused':
      return table === 'clients'
        ? [`SELECT id FROM (${unusedClients()}) c`, [at(-unusedMs)]]
        : [`SELECT id FROM (${unusedKeys()}) k`, [at(-unusedMs), at(0)]];
    case 'expiring':
      return [`SELECT id FROM (${expiringKeys()} ORDER BY ${endOfKey()} LIMIT ${maxCount}) k`, [at(0), at(expiringMs)]];
  }
}

/** Requests with an ended credential that were rejected lately. */
export type EndedUse = { requests: number; lastAt: Date };

/**
 * Finds the requests of clients and access keys with credentials that have ended, of sources whose last rejection was in
 * the last seven days.
 * @param ids internal ids of a page of clients or access keys.
 */
export async function findEndedUse(
  database: Queryable,
  ids: readonly string[],
  now: number,
): Promise<ReadonlyMap<string, EndedUse>> {
  const rows = await database.query<{ subject: string; requests: number; last_at: Date }>(
    `SELECT asked.id AS subject, used.requests, used.last_at FROM unnest($1::uuid[]) AS asked (id) CROSS JOIN LATERAL (
       SELECT sum(refused)::bigint AS requests, max(refused_at) AS last_at FROM (
         SELECT refused, refused_at FROM usage_sources WHERE owner = asked.id AND ${refusedAsEnded} AND refused_at > $2
         UNION ALL
         SELECT s.refused, s.refused_at FROM client_keys k JOIN LATERAL (
           SELECT refused, refused_at FROM usage_sources WHERE owner = k.id AND ${refusedAsEnded} AND refused_at > $2
         ) s ON true WHERE k.client = asked.id
       ) each_source
     ) used WHERE used.last_at IS NOT NULL`,
    [ids, new Date(now - refusedMs)],
  );
  return new Map(rows.map((row) => [row.subject, { requests: row.requests, lastAt: row.last_at }]));
}
