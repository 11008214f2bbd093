import type { Client } from '../../clients/client.ts';
import { declareScopes, type GivenScope, isScopeName, requireDeclarable } from '../../clients/declared-scopes.ts';
import type { ForeignClient } from '../../clients/foreign-client.ts';
import { isOffered } from '../../clients/offered-scopes.ts';
import type { Core } from '../../core.ts';
import { callAdmin } from '../call-admin.ts';
import { CommandEnd } from '../terminal.ts';

/** Declares the scopes of imported clients that no resource server offers, at one that the operator chose. */

/**
 * Returns the resource servers as they are once the scopes of these clients are declared.
 * @param clientId of the resource server at which they are declared. @param now milliseconds since the epoch.
 * @returns also the scopes that none offers yet.
 * @throws {CommandEnd} 1 if it is not a resource server, or cannot declare as many.
 */
export function withMissingScopes(
  servers: readonly Client[],
  clientId: string,
  rows: readonly ForeignClient[],
  now: number,
): { servers: readonly Client[]; missing: string[] } {
  const target = servers.find((server) => server.clientId === clientId);
  if (!target) throw new CommandEnd(1, `error: --declare-scopes: no resource server has the Client ID ${clientId}.`);
  const missing = new Set<string>();
  for (const { scope, clientSecret } of rows) {
    for (const name of scope) {
      // A value that is a secret is in the wrong column.
      const isUsable = isScopeName(name) && name !== clientSecret;
      if (isUsable && !servers.some((server) => isOffered(server, name))) missing.add(name);
    }
  }
  if (missing.size === 0) return { servers, missing: [] };
  const given = [...target.scopes, ...[...missing].map(imported)];
  try {
    requireDeclarable(given, target.information);
  } catch (error) {
    throw new CommandEnd(1, `error: --declare-scopes: ${(error as Error).message}`);
  }
  const extended = { ...target, scopes: declareScopes(given, target.scopes, now, () => false) };
  return { servers: servers.map((server) => (server === target ? extended : server)), missing: [...missing] };
}

function imported(name: string): GivenScope {
  return { name, description: 'Imported with clients of another server.' };
}

/** Declares scopes at a resource server, beside those that it has. */
export async function declareAt(core: Core, clientId: string, missing: readonly string[]): Promise<void> {
  if (missing.length === 0) return;
  const params = { client_id: clientId };
  const { scopes } = await callAdmin<{ scopes: GivenScope[] }>(core, 'GET /clients/{client_id}', { params });
  const body = { scopes: [...scopes, ...missing.map(imported)] };
  await callAdmin(core, 'PATCH /clients/{client_id}', { params, body });
}
