import { InvalidInput } from '../errors.ts';
import type { Client } from './client.ts';
import { declareScopes, type GivenScope, isScopeName, requireDeclarable } from './declared-scopes.ts';
import type { ForeignClient } from './foreign-client.ts';
import { isOffered } from './offered-scopes.ts';

/** Scopes of imported clients that no resource server offers yet, and that one is to declare. */

/**
 * Returns the resource servers as they are once the scopes of these clients are declared.
 * @param clientId of the resource server at which they are declared. @param now milliseconds since the epoch.
 * @returns also the scopes that none offers yet.
 * @throws {InvalidInput} if it is not a resource server, or cannot declare as many.
 */
export function withMissingScopes(
  servers: readonly Client[],
  clientId: string,
  rows: readonly ForeignClient[],
  now: number,
): { servers: readonly Client[]; missing: ReadonlySet<string> } {
  const target = servers.find((server) => server.clientId === clientId);
  if (!target) throw new InvalidInput(`declare_scopes: no resource server has the Client ID ${clientId}.`);
  const missing = new Set<string>();
  for (const { scope, clientSecret } of rows) {
    for (const name of scope) {
      // A value that is a secret is in the wrong column.
      const isUsable = isScopeName(name) && name !== clientSecret;
      if (isUsable && !servers.some((server) => isOffered(server, name))) missing.add(name);
    }
  }
  if (missing.size === 0) return { servers, missing };
  const given = [...target.scopes, ...importedScopes(missing)];
  try {
    requireDeclarable(given, target.information);
  } catch (error) {
    throw new InvalidInput(`declare_scopes: ${(error as Error).message}`);
  }
  const extended = { ...target, scopes: declareScopes(given, target.scopes, now, () => false) };
  return { servers: servers.map((server) => (server === target ? extended : server)), missing };
}

/** Returns scopes as they are declared for imported clients. */
export function importedScopes(names: Iterable<string>): GivenScope[] {
  return [...names].map((name) => ({ name, description: 'Imported with clients of another server.' }));
}
