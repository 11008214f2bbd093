import type { Queryable } from '../storage/database.ts';
import { isUuid } from '../text/is-uuid.ts';

/**
 * Finds which actors are people and programs of the organization that the database is limited to, now or before they
 * were deleted. Every id and name is looked up in an index.
 * @param ids actors of audit events. @param names of operators, where only the name is known.
 */
export async function findOwnActors(
  database: Queryable,
  { ids, names }: { ids: readonly string[]; names: readonly string[] },
): Promise<{ ids: ReadonlySet<string>; names: ReadonlySet<string> }> {
  const rows = await database.query<{ id: string | null; name: string | null }>(
    `WITH RECURSIVE acted AS (
       -- Every actor that had one of the names. A name can have many events, so the next actor is looked up instead of the next event.
       SELECT name, (SELECT min(actor) FROM audit_events WHERE actor_name = name) AS actor FROM unnest($3::text[]) AS asked (name)
       UNION ALL
       SELECT name, (SELECT min(actor) FROM audit_events WHERE actor_name = acted.name AND actor > acted.actor) FROM acted WHERE actor IS NOT NULL
     )
     SELECT id::text, NULL AS name FROM contacts WHERE id = ANY ($2::uuid[])
     UNION ALL SELECT client_id, NULL FROM client_ids WHERE client_id = ANY ($1::text[])
     UNION ALL SELECT id, NULL FROM unnest($1::text[]) AS asked (id) WHERE EXISTS (SELECT FROM audit_events WHERE target = asked.id OFFSET 0)
     UNION ALL SELECT NULL, name FROM contacts WHERE name = ANY ($3::text[])
     UNION ALL SELECT NULL, name FROM clients WHERE name = ANY ($3::text[])
     UNION ALL SELECT NULL, name FROM acted WHERE EXISTS (SELECT FROM audit_events WHERE target = acted.actor OFFSET 0)`,
    [ids, ids.filter(isUuid), names],
  );
  return {
    ids: new Set(rows.flatMap(({ id }) => id ?? [])),
    names: new Set(rows.flatMap(({ name }) => name ?? [])),
  };
}
