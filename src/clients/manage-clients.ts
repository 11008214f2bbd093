import { randomUUID } from 'node:crypto';
import { type Actor, type AuditEvent, appendAuditEvent } from '../audit/audit-log.ts';
import type { Clock } from '../clock.ts';
import { generateClientId } from '../credentials/credential-format.ts';
import { issueSecret } from '../credentials/issue-secret.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { unseal } from '../credentials/sealed-copy.ts';
import { Conflict, InvalidInput, KeyturnError, NotFound } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import {
  type AuthMethod,
  type Client,
  type ClientKind,
  type ClientSecret,
  isLive,
  offeredScopes,
  parseScope,
  type TokenFormat,
} from './client.ts';
import {
  announceClient,
  deleteClient as deleteClientRow,
  findSealedSecret,
  findSecrets,
  insertClient,
  insertSecret,
  listResourceServers,
  lockClient,
  saveClient,
} from './client-store.ts';

/** What every change is made with; the transaction and the actor come with each call. */
export type ManageDeps = {
  keyRing: KeyRing;
  clock: Clock;
  /** False: no sealed copies are kept anywhere in this deployment. */
  reveal: boolean;
};

export type NewClient = {
  name: string;
  kind: ClientKind;
  scope?: string | undefined;
  accessKey?: 'optional' | 'required' | undefined;
  reveal?: boolean | undefined;
  authMethod?: AuthMethod | undefined;
  resource?: string | undefined;
  information?: readonly string[] | undefined;
  tokenFormat?: TokenFormat | undefined;
};

/** Generate: registers a client with its first pair of credentials. The plaintext is in the result and nowhere else. */
export async function generateClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  input: NewClient,
): Promise<{ client: Client; secret: ClientSecret; clientSecret: string }> {
  const at = new Date(deps.clock());
  const client: Client = {
    id: randomUUID(),
    clientId: generateClientId(),
    kind: input.kind,
    name: input.name,
    enabled: true,
    scope: parseScope(input.scope ?? ''),
    accessKey: input.accessKey ?? 'optional',
    reveal: input.reveal ?? true,
    authMethod: input.authMethod ?? 'client_secret_basic',
    resource: input.resource ?? null,
    information: input.information ?? [],
    tokenFormat: input.kind === 'resource_server' ? (input.tokenFormat ?? 'opaque') : null,
    tokenEpoch: 0,
    tokensNotBefore: null,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  await requireConsistent(transaction, client, input);
  await insertClient(transaction, client);
  const { secret, clientSecret } = await addSecret(transaction, deps, client, client.clientId, 1);
  await announceClient(transaction, client, at);
  await audit(transaction, actor, at, 'client.create', client, { after: auditView(client) });
  return { client, secret, clientSecret };
}

/** Makes and stores one more secret of a client. */
export async function addSecret(
  transaction: Transaction,
  deps: ManageDeps,
  client: Client,
  clientId: string,
  generation: number,
): Promise<{ secret: ClientSecret; clientSecret: string }> {
  const id = randomUUID();
  const keepSealed = deps.reveal && client.reveal;
  const { plaintext, sealed, ...verifier } = issueSecret(
    deps.keyRing,
    'kts_',
    'client-secret-pepper',
    keepSealed ? { table: 'secrets', id } : null,
  );
  const secret: ClientSecret = {
    id,
    clientId,
    generation,
    ...verifier,
    createdAt: new Date(deps.clock()),
    retiresAt: null,
  };
  await insertSecret(transaction, client, { ...secret, sealed });
  return { secret, clientSecret: plaintext };
}

export type ClientPatch = {
  name?: string | undefined;
  scope?: string | undefined;
  accessKey?: 'optional' | 'required' | undefined;
  resource?: string | undefined;
  information?: readonly string[] | undefined;
  tokenFormat?: TokenFormat | undefined;
};

/**
 * Changes only what is given.
 * @param expectedRevision from If-Match; undefined: whatever it is now.
 * @throws {KeyturnError} `precondition_failed` when somebody changed the client in between.
 */
export async function updateClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
  patch: ClientPatch,
  expectedRevision?: number,
): Promise<Client> {
  const client = await requireClient(transaction, clientId);
  requireRevision(client.revision, expectedRevision);
  const changed: Client = {
    ...client,
    name: patch.name ?? client.name,
    scope: patch.scope === undefined ? client.scope : parseScope(patch.scope),
    accessKey: patch.accessKey ?? client.accessKey,
    resource: patch.resource ?? client.resource,
    information: patch.information ?? client.information,
    tokenFormat: patch.tokenFormat ?? client.tokenFormat,
  };
  await requireConsistent(transaction, changed, patch);
  return await save(transaction, deps, actor, 'client.update', client, changed);
}

/** Every live token of the client is dead at once, and stays so when it is enabled again. */
export async function disableClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<Client> {
  const client = await requireClient(transaction, clientId);
  if (!client.enabled) return client;
  return await save(transaction, deps, actor, 'client.disable', client, {
    ...withoutTokens(client, deps),
    enabled: false,
  });
}

export async function enableClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<Client> {
  const client = await requireClient(transaction, clientId);
  if (client.enabled) return client;
  return await save(transaction, deps, actor, 'client.enable', client, { ...client, enabled: true });
}

/** Kills every live token of the client, however many, in one write. */
export async function revokeClientTokens(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<Client> {
  const client = await requireClient(transaction, clientId);
  return await save(transaction, deps, actor, 'client.revoke_tokens', client, withoutTokens(client, deps));
}

/** @throws {Conflict} `client_is_enabled`: what is in use is disabled first, so that nothing in use goes by one slip. */
export async function deleteClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const client = await requireClient(transaction, clientId);
  if (client.enabled) throw new Conflict('client_is_enabled', 'Disable the client first; only then can it be deleted.');
  await deleteClientRow(transaction, client, at);
  await audit(transaction, actor, at, 'client.delete', client, { before: auditView(client) });
}

/** Opens the sealed copy of the current secret. The audit event is committed before anything is shown. */
export async function revealClientSecret(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<{ client: Client; clientSecret: string }> {
  const at = new Date(deps.clock());
  const client = await requireClient(transaction, clientId);
  const current = (await findSecrets(transaction, client)).find((secret) => isLive(secret, at.getTime()));
  const sealed = current && (await findSealedSecret(transaction, current.id));
  if (!current || !sealed || !deps.reveal) {
    throw new Conflict('not_revealable', 'No copy of this secret is kept, so it cannot be shown again.');
  }
  await audit(transaction, actor, at, 'client.reveal_secret', client, { after: { hint: current.hint } });
  const clientSecret = unseal(deps.keyRing, { table: 'secrets', id: current.id }, sealed);
  return { client, clientSecret };
}

/** The client, locked. @throws {NotFound} */
export async function requireClient(transaction: Transaction, clientId: string): Promise<Client> {
  const client = await lockClient(transaction, clientId);
  if (!client) throw new NotFound('client');
  return client;
}

export function requireRevision(revision: number, expected: number | undefined): void {
  if (expected !== undefined && expected !== revision) {
    throw new KeyturnError('precondition_failed', 412, 'It has changed since you read it; read it again.');
  }
}

/** The client as it is with all its live tokens dead. */
export function withoutTokens(client: Client, deps: { clock: Clock }): Client {
  return { ...client, tokenEpoch: client.tokenEpoch + 1, tokensNotBefore: new Date(deps.clock()) };
}

async function save(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  action: string,
  before: Client,
  after: Client,
): Promise<Client> {
  const at = new Date(deps.clock());
  const saved = await saveClient(transaction, after, at);
  await audit(transaction, actor, at, action, saved, { before: auditView(before), after: auditView(saved) });
  return saved;
}

function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  action: string,
  client: Client,
  states: Pick<AuditEvent, 'before' | 'after'>,
): Promise<void> {
  return appendAuditEvent(transaction, { at, actor, action, targetType: 'client', target: client.clientId, ...states });
}

function auditView(client: Client): Record<string, unknown> {
  const { id: _id, clientId, createdAt: _createdAt, updatedAt: _updatedAt, ...state } = client;
  return { client_id: clientId, ...state };
}

/** What one kind of client must have and the other must not; and no scope or resource that nobody offers. */
async function requireConsistent(
  transaction: Transaction,
  client: Client,
  given: { scope?: unknown; accessKey?: unknown; information?: unknown; tokenFormat?: unknown; resource?: unknown },
): Promise<void> {
  const others = (await listResourceServers(transaction)).filter((server) => server.id !== client.id);
  if (client.kind === 'resource_server') {
    if (given.scope !== undefined) throw new InvalidInput('A resource server has no scope; it has `information`.');
    if (given.accessKey !== undefined) throw new InvalidInput('A resource server has no `access_key`.');
    if (!client.resource) throw new InvalidInput('A resource server needs `resource`, its absolute URI.');
    if (others.some((server) => server.resource === client.resource)) {
      throw new Conflict('resource_taken', 'Another resource server has this `resource`.');
    }
    return;
  }
  if (given.information !== undefined) throw new InvalidInput('Only a resource server has `information`.');
  if (given.tokenFormat !== undefined) throw new InvalidInput('Only a resource server has `token_format`.');
  if (given.scope !== undefined) {
    const offered = new Set(others.flatMap((server) => offeredScopes(server.information)));
    const unknown = client.scope.filter((scope) => !offered.has(scope));
    if (unknown.length > 0) throw new InvalidInput(`No resource server offers: ${unknown.join(', ')}`);
  }
  if (given.resource !== undefined && !others.some((server) => server.resource === client.resource)) {
    throw new InvalidInput('No resource server has this `resource`.');
  }
}
