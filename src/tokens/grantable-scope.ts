import type { AccessKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import type { Client } from '../clients/client.ts';
import { isHeld, isOffered, sharedScopes } from '../clients/offered-scopes.ts';
import { RefusedByRule } from '../errors.ts';

/** Decides which scopes a token request can be granted. */

/** The scopes that requests can be granted at most, and the resource of requests that name none. */
export type Holder = Pick<Client, 'scope' | 'resource'>;

export type Grantable = {
  /** The resource server that the request or its client names. */
  named: Client | undefined;
  /** The scopes of the client that can be granted, under the names that the client has them by. */
  grantable: readonly string[];
  /** Returns whether a scope can be granted, by any of its names. */
  isGrantable(scope: string): boolean;
};

/**
 * Returns what a request can be granted.
 * @param servers all resource servers.
 * @throws {KeyturnError} `invalid_target` if it names an unknown resource.
 */
export function findGrantable(
  client: Holder,
  {
    resource = client.resource ?? undefined,
    accessKey,
  }: { resource?: string | undefined; accessKey?: PresentedAccessKey | undefined },
  servers: readonly Client[],
): Grantable {
  const named = resource === undefined ? undefined : requireResourceServer(servers, resource);
  const key = accessKey?.key;
  const isGrantable = (scope: string) => {
    if (named && !(isOffered(named, scope) && isMeantAt(named, client, scope, servers))) return false;
    if (client.scope.includes(scope) && (!key || key.scope.includes(scope))) return true;
    return named ? isHeldAt(named, client, key, scope) : servers.some((server) => isHeldAt(server, client, key, scope));
  };
  return { named, grantable: named || key ? client.scope.filter(isGrantable) : client.scope, isGrantable };
}

/** Returns the error for a scope that cannot be granted (RFC 6749 §5.2), with the rule that decided. */
export function refusedScope(
  scope: string,
  client: Holder,
  { named, accessKey }: { named: Client | undefined; accessKey: PresentedAccessKey | undefined },
  servers: readonly Client[],
): RefusedByRule {
  const message = 'The requested scope is unknown or not granted to this client.';
  return new RefusedByRule('invalid_scope', message, { rule: findRule(), value: scope });

  function findRule(): RefusedByRule['rule'] {
    if (!servers.some((server) => isOffered(server, scope))) return 'unknown_scope';
    const resource = named?.resource ?? undefined;
    if (accessKey && findGrantable(client, { resource }, servers).isGrantable(scope)) return 'scope_not_of_access_key';
    const isGrantedElsewhere = named && findGrantable({ ...client, resource: null }, {}, servers).isGrantable(scope);
    return isGrantedElsewhere ? 'scope_of_other_resource' : 'scope_not_granted';
  }
}

/** Returns whether client and access key have a scope at a resource server, by any of its names there. */
function isHeldAt(server: Client, client: Holder, key: AccessKey | undefined, scope: string): boolean {
  if (!server.enabled || server.scopes.length === 0 || !isOffered(server, scope)) return false;
  return isHeld(server, client.scope, scope) && (!key || isHeld(server, key.scope, scope));
}

/**
 * Returns whether a client can have a scope of this resource server. If others offer the name too, and the client's own
 * resource server is one of them, the client has the scope only there.
 */
function isMeantAt(named: Client, { resource }: Holder, scope: string, servers: readonly Client[]): boolean {
  if (resource === null || resource === named.resource || !sharedScopes(servers).has(scope)) return true;
  const own = servers.find((server) => server.resource === resource);
  return !own || !isOffered(own, scope);
}

/**
 * Checks that the names of granted scopes say which permissions they mean, for a token that is for no single resource.
 * @throws {KeyturnError} `invalid_target` if several resource servers offer one (RFC 8707 §2).
 */
export function requireOneMeaning(granted: readonly string[], servers: readonly Client[]): void {
  const shared = sharedScopes(servers);
  const unclear = shared.size === 0 ? undefined : granted.find((scope) => shared.has(scope));
  if (unclear === undefined) return;
  const meant = servers.filter((server) => isOffered(server, unclear)).map(({ resource }) => resource);
  throw new RefusedByRule(
    'invalid_target',
    `The scope ${unclear} is offered by several resource servers. Select one with \`resource\`.`,
    { rule: 'several_resources', value: meant.join(' ') },
  );
}

function requireResourceServer(servers: readonly Client[], resource: string): Client {
  const server = servers.find((candidate) => candidate.resource === resource);
  if (!server?.enabled)
    throw new RefusedByRule('invalid_target', 'resource: no resource server has this identifier.', {
      rule: server ? 'resource_disabled' : 'unknown_resource',
      value: resource,
    });
  return server;
}
