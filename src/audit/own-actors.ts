import type { Queryable } from '../storage/database.ts';

/**
 * Finds which actors are people and programs of the organization that the database is limited to, now or before they
 * were deleted.
 * @param ids actors of audit events. @param names of operators, where only the name is known.
 */
export async function findOwnActors(
  database: Queryable,
  { ids, names }: { ids: readonly string[]; names: readonly string[] },
): Promise<{ ids: ReadonlySet<string>; names: ReadonlySet<string> }> {
  const rows = await database.query<{ id: string | null; name: string | null }>(
    `SELECT id::text, NULL AS name FROM contacts WHERE id::text = ANY ($1::text[])
     UNION SELECT client_id, NULL FROM client_ids WHERE client_id = ANY ($1::text[])
     UNION SELECT target, NULL FROM audit_events WHERE target = ANY ($1::text[])
     UNION SELECT NULL, name FROM contacts WHERE name = ANY ($2::text[])
     UNION SELECT NULL, name FROM clients WHERE name = ANY ($2::text[])
     UNION SELECT NULL, actor_name FROM audit_events e WHERE actor_name = ANY ($2::text[])
       AND EXISTS (SELECT FROM audit_events own WHERE own.target = e.actor)`,
    [ids, names],
  );
  return {
    ids: new Set(rows.flatMap(({ id }) => id ?? [])),
    names: new Set(rows.flatMap(({ name }) => name ?? [])),
  };
}
