import type { Queryable } from '../storage/database.ts';
import type { AttentionSubject } from './attention-item.ts';

/** Names enabled clients and access keys by their internal ids, in two statements. Others are not in the result. */
export async function nameSubjects(
  database: Queryable,
  ids: readonly string[],
): Promise<ReadonlyMap<string, AttentionSubject>> {
  if (ids.length === 0) return new Map();
  const clients = await database.query<{ id: string; client_id: string; name: string }>(
    `SELECT c.id, c.client_id, c.name FROM ${asked('clients')} c WHERE c.enabled`,
    [ids],
  );
  const keys = await database.query<{ id: string; name: string; contact: string; contact_name: string }>(
    `SELECT k.id, k.name, k.contact, ${contactName} AS contact_name FROM ${asked('access_keys')} k WHERE k.enabled`,
    [ids],
  );
  return new Map<string, AttentionSubject>([
    ...clients.map(({ id, client_id, name }) => [id, ofClient(client_id, name)] as const),
    ...keys.map((key) => [key.id, ofKey(key)] as const),
  ]);
}

/**
 * Selects the rows with the ids in $1. LIMIT keeps the planner from reading the whole table when there are many ids,
 * because this join is the only one that it can use.
 */
const asked = (table: 'clients' | 'access_keys') =>
  `unnest($1::uuid[]) AS asked (id) CROSS JOIN LATERAL (SELECT * FROM ${table} WHERE id = asked.id LIMIT 1)`;

/** SQL expression for the name of the contact of the access key `k`. */
export const contactName = '(SELECT name FROM contacts WHERE id = k.contact)';

/** Returns the subject of a client. */
export function ofClient(clientId: string, name: string): AttentionSubject {
  return { type: 'client', id: clientId, name, contact: null };
}

/** Returns the subject of an access key. */
export function ofKey(key: { id: string; name: string; contact: string; contact_name: string }): AttentionSubject {
  return { type: 'access_key', id: key.id, name: key.name, contact: { id: key.contact, name: key.contact_name } };
}
