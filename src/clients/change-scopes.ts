import { Conflict } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import type { Client } from './client.ts';
import { findUsersOfScopes, listResourceServers } from './client-store.ts';
import { declareScopes, type GivenScope } from './declared-scopes.ts';
import { isOffered, type Offer, offeredScopes, permissionOf, scopesOfferedBy, sharedScopes } from './offered-scopes.ts';

/** The rules for changing which scopes a resource server offers. */

const nothing: Offer = { information: [], scopes: [] };

/**
 * Returns the declared scopes of a resource server after a change.
 * @param given undefined keeps the current ones.
 * @param server the resource server before the change. @param now milliseconds since the epoch.
 */
export async function changeScopes(
  transaction: Transaction,
  server: Pick<Client, 'id' | 'scopes'>,
  given: readonly GivenScope[] | undefined,
  now: number,
): Promise<Client['scopes']> {
  if (!given) return server.scopes;
  const others = scopesOfferedBy(await othersThan(transaction, server));
  return declareScopes(given, server.scopes, now, (name) => others.has(name));
}

/**
 * Checks that no scope that clients or access keys have would lose its last resource server, or mean something else.
 * @param after what the resource server offers after the change.
 * @param renames the names that the change replaces in clients and access keys.
 * @throws {Conflict} `information_in_use` or `scope_in_use` with the clients and access keys that have such a scope.
 */
export async function requireUnused(
  transaction: Transaction,
  server: Client,
  after: Offer = nothing,
  renames: ReadonlyMap<string, string> = new Map(),
): Promise<void> {
  const gone = (await goneScopes(transaction, server, after)).filter((scope) => !renames.has(scope));
  if (gone.length === 0) return;
  const { clients, accessKeys, total } = await findUsersOfScopes(transaction, gone);
  if (total === 0) return;
  const users = { scope: gone.join(' '), clients, access_keys: accessKeys, total };
  if (server.scopes.some(({ since }) => gone.some((scope) => since[scope] !== undefined))) {
    throw new Conflict(
      'scope_in_use',
      'Clients or access keys still have a scope that would no longer be offered. Keep its name as an alias, rename it with `renamed_from`, or remove it from them first.',
      users,
    );
  }
  throw new Conflict(
    'information_in_use',
    'Clients or access keys still use a kind of information that would no longer be offered.',
    users,
  );
}

/**
 * Returns the scopes of a resource server that it no longer offers after a change, or that mean something else then. A
 * permission of its own that becomes a kind of information and an action stays what it is.
 */
export function lostScopes(before: Offer, after: Offer): string[] {
  return offeredScopes(before).filter((scope) => {
    const [earlier, later] = [permissionOf(before, scope), permissionOf(after, scope)];
    return earlier !== later && !(earlier?.startsWith('#') && later !== undefined && !later.startsWith('#'));
  });
}

/** Returns the lost scopes of a resource server that no other one offers. */
export async function goneScopes(transaction: Transaction, server: Client, after: Offer): Promise<string[]> {
  const lost = lostScopes(server, after);
  if (lost.length === 0) return [];
  const others = scopesOfferedBy(await othersThan(transaction, server));
  return lost.filter((scope) => !others.has(scope));
}

/**
 * Checks that no client gets a permission because a resource server offers a name that others offer too. A client with
 * one of the others as its own resource server has the name only there.
 * @throws {Conflict} `scope_name_taken` with clients that would get a permission.
 */
export async function requireNoneGained(transaction: Transaction, before: Offer, after: Client): Promise<void> {
  const added = offeredScopes(after).filter((scope) => !isOffered(before, scope));
  if (added.length === 0) return;
  const others = await othersThan(transaction, after);
  const shared = sharedScopes([after, ...others]);
  const taken = added.filter((scope) => shared.has(scope));
  if (taken.length === 0) return;
  const meanings = taken.map((name) => ({
    name,
    resources: others.filter((server) => isOffered(server, name)).map(({ resource }) => resource),
  }));
  const clients = await transaction.query<{ client_id: string; name: string; total: number }>(
    `SELECT client_id, name, count(*) OVER () AS total FROM clients c
     WHERE kind = 'integration' AND scope && $1::text[] AND EXISTS (
       SELECT 1 FROM jsonb_to_recordset($2::jsonb) AS t (name text, resources jsonb)
       WHERE t.name = ANY (c.scope) AND NOT coalesce(t.resources ? c.resource, false)
     ) ORDER BY created_at LIMIT 10`,
    [taken, JSON.stringify(meanings)],
  );
  if (clients.length === 0) return;
  throw new Conflict(
    'scope_name_taken',
    `scopes: another resource server offers ${taken.map((name) => `"${name}"`).join(', ')}, and clients that have it would get it here too. Choose another name, or give these clients a \`resource\` of their own.`,
    { clients: clients.map(({ client_id, name }) => ({ client_id, name })), total: clients[0]?.total ?? 0 },
  );
}

async function othersThan(transaction: Transaction, { id }: Pick<Client, 'id'>): Promise<Client[]> {
  return (await listResourceServers(transaction)).filter((server) => server.id !== id);
}
