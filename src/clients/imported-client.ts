import { randomUUID } from 'node:crypto';
import { type AuthMethod, type Client, hasCertificate } from './client.ts';
import { keysOf } from './demand-problems.ts';
import type { ForeignClient } from './foreign-client.ts';

/** Returns a client as it is registered. @throws {InvalidInput} if its keys cannot be registered. */
export function importedClient(row: ForeignClient, at: Date): Client {
  const authMethod = row.authMethod as AuthMethod;
  return {
    id: randomUUID(),
    clientId: row.clientId,
    kind: 'integration',
    name: row.name,
    enabled: row.enabled,
    scope: row.scope,
    accessKey: row.accessKey,
    reveal: row.reveal,
    authMethod,
    ...keysOf(row),
    certificateBoundTokens: row.certificateBoundTokens ?? hasCertificate({ authMethod }),
    dpopBoundTokens: row.dpopBoundTokens,
    resource: row.resource ?? null,
    information: [],
    tokenFormat: null,
    tokenTyp: null,
    tokenEpoch: 0,
    tokensNotBefore: null,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
}
