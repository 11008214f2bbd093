import type { Queryable, Row } from '../storage/database.ts';
import { isUuid } from '../text/is-uuid.ts';

/**
 * Returns the current names of clients, access keys, contacts, organizations and webhooks by the ids that audit events have, in one statement.
 * Clients are found by any of their Client IDs. What was deleted has no name any more.
 */
export async function nameTargets(database: Queryable, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  if (ids.length === 0) return new Map();
  const rows = await database.query<Row & { id: string; name: string }>(
    `SELECT i.client_id AS id, c.name FROM client_ids i JOIN clients c ON c.id = i.client WHERE i.client_id = ANY ($1::text[])
     UNION ALL SELECT id::text, name FROM access_keys WHERE id = ANY ($2::uuid[])
     UNION ALL SELECT id::text, name FROM contacts WHERE id = ANY ($2::uuid[])
     UNION ALL SELECT id::text, name FROM organizations WHERE id = ANY ($2::uuid[])
     UNION ALL SELECT id::text, name FROM webhooks WHERE id = ANY ($2::uuid[])`,
    [ids, ids.filter(isUuid)],
  );
  return new Map(rows.map(({ id, name }) => [id, name]));
}
