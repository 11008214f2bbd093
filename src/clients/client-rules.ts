import { Conflict, InvalidInput } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import { type Client, offeredScopes, requireOffered, scopesOfferedBy } from './client.ts';
import { findUsersOfScopes, holdResourceServers, listResourceServers } from './client-store.ts';

/**
 * Checks that a client has only members of its kind, and only scopes and a resource that a resource server offers.
 * @throws {InvalidInput | Conflict}
 */
export async function requireConsistent(
  transaction: Transaction,
  client: Client,
  given: Partial<Record<'scope' | 'accessKey' | 'information' | 'tokenFormat' | 'tokenTyp' | 'resource', unknown>>,
): Promise<void> {
  // Lock the resource servers for an integration only. If resource servers locked each other, concurrent changes would
  // deadlock.
  const servers = await (client.kind === 'integration' ? holdResourceServers : listResourceServers)(transaction);
  const others = servers.filter((server) => server.id !== client.id);
  if (client.kind === 'resource_server') {
    if (given.scope !== undefined) throw new InvalidInput('A resource server has no scope; it has `information`.');
    if (given.accessKey !== undefined) throw new InvalidInput('A resource server has no `access_key`.');
    if (given.tokenTyp !== undefined && client.tokenFormat !== 'jwt') {
      throw new InvalidInput('`token_typ` is only for a resource server with `token_format` "jwt".');
    }
    if (!client.resource) throw new InvalidInput('A resource server needs `resource`, its absolute URI.');
    if (others.some((server) => server.resource === client.resource)) {
      throw resourceTaken();
    }
    return;
  }
  if (given.information !== undefined) throw new InvalidInput('Only a resource server has `information`.');
  if (given.tokenFormat !== undefined) throw new InvalidInput('Only a resource server has `token_format`.');
  if (given.tokenTyp !== undefined) throw new InvalidInput('Only a resource server has `token_typ`.');
  if (given.scope !== undefined) {
    requireOffered(client.scope, others);
  }
  if (typeof given.resource === 'string' && !others.some((server) => server.resource === client.resource)) {
    throw new InvalidInput('No resource server has this `resource`.');
  }
}

/**
 * Checks that no scope in use would lose its last resource server.
 * @param information what the resource server will offer after the change.
 * @throws {Conflict} `information_in_use` with the clients and access keys that use such a scope.
 */
export async function requireUnused(
  transaction: Transaction,
  server: Client,
  information: readonly string[],
): Promise<void> {
  if (server.information.every((kind) => information.includes(kind))) return;
  const others = (await listResourceServers(transaction)).filter(({ id }) => id !== server.id);
  const offered = scopesOfferedBy([{ information }, ...others]);
  const gone = offeredScopes(server.information).filter((scope) => !offered.has(scope));
  const { clients, accessKeys, total } = await findUsersOfScopes(transaction, gone);
  if (total === 0) return;
  throw new Conflict('information_in_use', 'Clients or access keys still use a kind of information that would go.', {
    clients,
    access_keys: accessKeys,
    total,
  });
}

export function resourceTaken(): Conflict {
  return new Conflict('resource_taken', 'Another resource server has this `resource`.');
}
