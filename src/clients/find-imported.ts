import { isDeepStrictEqual } from 'node:util';
import type { Queryable } from '../storage/database.ts';
import type { Client, KnownClient } from './client.ts';
import { findKnownClients } from './client-store.ts';
import { demandProblems } from './demand-problems.ts';
import type { ForeignClient } from './foreign-client.ts';
import { importedClient } from './imported-client.ts';

/**
 * Finds the clients that are registered exactly as a file describes them. Ignores their secrets and whether they are
 * enabled, which may have changed since the import.
 */
export async function findImported(
  database: Queryable,
  rows: readonly ForeignClient[],
): Promise<Map<ForeignClient, KnownClient>> {
  const known = await findKnownClients(
    database,
    rows.map(({ clientId }) => clientId),
  );
  const found = new Map<ForeignClient, KnownClient>();
  for (const row of rows) {
    const here = known.get(row.clientId);
    if (!here || demandProblems(row).length > 0) continue;
    const wanted = registrationOf(importedClient(row, here.client.createdAt));
    if (isDeepStrictEqual(registrationOf(here.client), wanted)) found.set(row, here);
  }
  return found;
}

function registrationOf(client: Client): unknown {
  const { name, scope, accessKey, reveal, authMethod, jwks, jwksUri, certificateSubject } = client;
  const { certificateBoundTokens, dpopBoundTokens, resource } = client;
  const proof = { authMethod, jwks, jwksUri, certificateSubject, certificateBoundTokens, dpopBoundTokens };
  // Drop undefined members, as the database does.
  return JSON.parse(JSON.stringify({ name, scope: [...scope].sort(), accessKey, reveal, resource, ...proof }));
}
