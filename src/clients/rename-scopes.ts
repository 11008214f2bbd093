import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { Conflict } from '../errors.ts';
import { recordChanges, recordNarrowed } from '../storage/change.ts';
import { type Row, type Transaction, unlessLocked } from '../storage/database.ts';
import type { Ceiling } from './ceiling.ts';
import { goneScopes } from './change-scopes.ts';
import type { Client } from './client.ts';
import { type ClientRow, toClient } from './client-row.ts';
import { isOffered, type Offer, permissionOf } from './offered-scopes.ts';

/** Gives the clients, access keys and ceilings that have a renamed scope its new name. */

/** The new name of a permission by each of its names that a change takes away. */
export type Renames = ReadonlyMap<string, string>;

/** Maximum number of clients and access keys that one change renames a scope of. */
const maxHolders = 1_000;

/** Returns the names that a change takes away from a permission that it keeps under another name. */
export async function findRenames(transaction: Transaction, before: Client, after: Offer): Promise<Renames> {
  const renames = new Map<string, string>();
  for (const name of await goneScopes(transaction, before, after)) {
    const permission = permissionOf(before, name) ?? '';
    const declared = after.scopes.find(({ id }) => id === permission)?.name;
    const successor = declared ?? (isOffered(after, permission) ? permission : undefined);
    if (successor !== undefined) renames.set(name, successor);
  }
  return renames;
}

/** How many integrations and access keys have each of these scopes. */
export async function countHolders(
  transaction: Transaction,
  scopes: readonly string[],
): Promise<Map<string, { clients: number; accessKeys: number }>> {
  const rows = await transaction.query<{ scope: string; clients: number; access_keys: number }>(
    `SELECT scope,
       (SELECT count(*) FROM clients c WHERE kind = 'integration' AND c.scope && ARRAY[s.scope]) AS clients,
       (SELECT count(*) FROM access_keys k WHERE k.scope && ARRAY[s.scope]) AS access_keys
     FROM unnest($1::text[]) AS s (scope)`,
    [scopes],
  );
  return new Map(rows.map((row) => [row.scope, { clients: row.clients, accessKeys: row.access_keys }]));
}

/**
 * Gives everybody who has a renamed scope of a locked resource server its new name.
 * @param change the resource server's identifier, and when it is changed.
 * @param saveClient saves and records a changed integration.
 * @throws {Conflict} `changed_meanwhile` if another transaction changes one of them. It may wait for the resource server.
 * @throws {Conflict} `scope_in_use` if too many have it.
 */
export async function renameScopes(
  transaction: Transaction,
  actor: Actor,
  { renames, resource, at }: { renames: Renames; resource: string | null; at: Date },
  saveClient: (before: Client, after: Client) => Promise<unknown>,
): Promise<void> {
  if (renames.size === 0) return;
  for (const client of (await lockRows<ClientRow>(transaction, 'clients', renames)).map(toClient)) {
    const scope = renameIn(client.scope, renames);
    const defaultScope = client.defaultScope && renameIn(client.defaultScope, renames);
    await saveClient(client, { ...client, scope, defaultScope });
  }
  await renameInAccessKeys(transaction, actor, renames, at);
  if (resource !== null) await renameInCeilings(transaction, actor, resource, renames, at);
}

async function lockRows<Found extends Row>(
  transaction: Transaction,
  table: 'clients' | 'access_keys',
  renames: Renames,
): Promise<Found[]> {
  const names = [[...renames.keys()]];
  const [all] = await transaction.query<{ count: number }>(
    `SELECT count(*) AS count FROM ${table} WHERE scope && $1::text[]`,
    names,
  );
  const count = all?.count ?? 0;
  if (count > maxHolders) {
    throw new Conflict(
      'scope_in_use',
      `More than ${maxHolders} clients or access keys have the scope. Keep its previous name as an alias.`,
    );
  }
  // PostgreSQL searches for deadlocks after a second, and could then cancel the other transaction.
  await transaction.query("SET LOCAL lock_timeout = '500ms'");
  const rows = await unlessLocked(
    transaction.query<Found>(`SELECT * FROM ${table} WHERE scope && $1::text[] ORDER BY id FOR UPDATE`, names),
    () =>
      new Conflict(
        'changed_meanwhile',
        'A client or access key with the scope was changed by someone else. Try again.',
      ),
  );
  await transaction.query('SET LOCAL lock_timeout TO DEFAULT');
  return rows;
}

/** Returns a list of scopes with the new names, each once. */
function renameIn(scope: readonly string[], renames: Renames): string[] {
  return [...new Set(scope.map((name) => renames.get(name) ?? name))];
}

async function renameInAccessKeys(transaction: Transaction, actor: Actor, renames: Renames, at: Date): Promise<void> {
  const keys = await lockRows<Row & { id: string; scope: string[] }>(transaction, 'access_keys', renames);
  if (keys.length === 0) return;
  const changed = keys.map(({ id, scope }) => ({ id, scope: renameIn(scope, renames) }));
  await transaction.query(
    `UPDATE access_keys k SET scope = ARRAY(SELECT jsonb_array_elements_text(n.scope)), revision = k.revision + 1, updated_at = $2
     FROM jsonb_to_recordset($1::jsonb) AS n (id uuid, scope jsonb) WHERE k.id = n.id`,
    [JSON.stringify(changed), at],
  );
  await recordChanges(
    transaction,
    changed.map(({ id }) => ({ kind: 'access_key', target: id })),
    at,
  );
  for (const [index, { id, scope }] of changed.entries()) {
    const before = keys[index]?.scope ?? [];
    await recordNarrowed(transaction, { kind: 'narrowed_access_key', id, at }, before, scope);
    await appendAuditEvent(transaction, {
      at,
      actor,
      action: 'access_key.update',
      targetType: 'access_key',
      target: id,
      before: { scope: before.join(' ') },
      after: { scope: scope.join(' ') },
    });
  }
}

/** Renames scopes of a resource server in the ceilings of organizations, which the transaction has locked. */
async function renameInCeilings(
  transaction: Transaction,
  actor: Actor,
  resource: string,
  renames: Renames,
  at: Date,
): Promise<void> {
  const rows = await transaction.query<Row & { id: string; max_scopes: NonNullable<Ceiling['scopes']> }>(
    'SELECT id, max_scopes FROM organizations WHERE max_scopes @> $1::jsonb ORDER BY id',
    [JSON.stringify([{ resource }])],
  );
  for (const { id, max_scopes: before } of rows) {
    const after = before.map((api) =>
      api.resource === resource ? { ...api, scope: renameIn(api.scope, renames) } : api,
    );
    if (JSON.stringify(after) === JSON.stringify(before)) continue;
    await transaction.query(
      'UPDATE organizations SET max_scopes = $2::jsonb, revision = revision + 1, updated_at = $3 WHERE id = $1',
      [id, JSON.stringify(after), at],
    );
    await appendAuditEvent(transaction, {
      at,
      actor,
      action: 'organization.update',
      targetType: 'organization',
      target: id,
      before: { ceiling: { scopes: before } },
      after: { ceiling: { scopes: after } },
    });
  }
}
