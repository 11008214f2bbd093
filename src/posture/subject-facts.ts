import type { Queryable } from '../storage/database.ts';

/** Facts about the credentials of a client or an access key, from their usage. */
export type SubjectFacts = {
  /** Networks that it was used from in 30 days, IPv4 of /24 and IPv6 of /64. */
  networks: number;
  /** Its scopes whose use was reported in 30 days. */
  usedScopes: number;
};

const withinMs = 30 * 86_400_000;
/** Number of sources of one thing that are read. */
const maxSources = 200;

/** Finds the facts of clients and access keys by their internal ids. */
export async function findFacts(
  database: Queryable,
  ids: readonly string[],
  now: number,
): Promise<ReadonlyMap<string, SubjectFacts>> {
  if (ids.length === 0) return new Map();
  const rows = await database.query<{ id: string; networks: number; scopes: number }>(
    `SELECT asked.id, (
       SELECT count(DISTINCT CASE
         WHEN address ~ '^[0-9.]+$' THEN host(network(set_masklen(address::inet, 24)))
         WHEN address ~ '^[0-9a-f:.]+$' THEN host(network(set_masklen(address::inet, 64)))
       END) FROM (
         SELECT address FROM usage_sources WHERE owner = asked.id AND last_used_at > $2 LIMIT ${maxSources}
       ) s
     ) AS networks, (
       SELECT count(*) FROM access_key_scopes WHERE access_key = asked.id AND last_used_at > $2
     ) + (
       SELECT count(*) FROM client_scopes WHERE client = asked.id AND last_used_at > $2
     ) AS scopes
     FROM unnest($1::uuid[]) AS asked (id)`,
    [ids, new Date(now - withinMs)],
  );
  return new Map(rows.map((row) => [row.id, { networks: Number(row.networks), usedScopes: Number(row.scopes) }]));
}
