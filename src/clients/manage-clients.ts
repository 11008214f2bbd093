import { randomUUID } from 'node:crypto';
import { type Actor, type AuditEvent, appendAuditEvent } from '../audit/audit-log.ts';
import { generateClientId } from '../credentials/credential-format.ts';
import { currentOf, isKeyCredential, type Secret } from '../credentials/secret.ts';
import { Conflict, NotFound, requireRevision } from '../errors.ts';
import { revealByPolicy } from '../policies/require-policies.ts';
import type { ReviewDeps } from '../regeneration/review.ts';
import { addSecret, revealSecret, type SecretDeps } from '../secrets/manage-secrets.ts';
import { findSecrets, saveRegistration } from '../secrets/secret-store.ts';
import { recordChange, recordNarrowed } from '../storage/change.ts';
import { type Transaction, unlessTaken } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { revealWithin } from './ceiling.ts';
import { changeScopes, requireNoneGained, requireUnused } from './change-scopes.ts';
import {
  type Authentication,
  type Client,
  type ClientKind,
  hasCertificate,
  initialState,
  parseScope,
  registrationOf,
  type SecretMethod,
  type TokenFormat,
  type TokenTyp,
  withoutTokens,
} from './client.ts';
import { recordLimits } from './client-limits.ts';
import { requireClientPolicies, requireNotUnused, requireRevealable } from './client-policies.ts';
import { auditView } from './client-row.ts';
import { type KeyDeps, keyDepsOf, replaceKeys, requireConsistent, resourceTaken } from './client-rules.ts';
import {
  announceClient,
  asSecretOwner,
  deleteClient as deleteClientRow,
  insertClient,
  lockClient,
  saveClient,
} from './client-store.ts';
import type { GivenScope } from './declared-scopes.ts';
import { type ClientPatch, detailsOf, type GivenDetails } from './given-details.ts';
import { holdForClient, holdForNewClient, moveClient, requireRoom } from './hold-organizations.ts';
import { findRenames, renameScopes } from './rename-scopes.ts';
import { requireNoneCut } from './replacement.ts';
import { requireScopeConfirmation } from './review-scopes.ts';

/** Dependencies of every change; the transaction and the actor come with each call. */
export type ManageDeps = SecretDeps & KeyDeps;

export type NewClient = GivenDetails & {
  name: string;
  kind: ClientKind;
  /** The organization of an integration; undefined for that of the deployment. */
  organizationId?: string | undefined;
  scope?: string | undefined;
  accessKey?: 'optional' | 'required' | undefined;
  reveal?: boolean | undefined;
  authMethod?: SecretMethod | undefined;
  resource?: string | undefined;
  information?: readonly string[] | undefined;
  scopes?: readonly GivenScope[] | undefined;
  tokenFormat?: TokenFormat | undefined;
  tokenTyp?: TokenTyp | undefined;
  /** If undefined, tokens are bound if the client authenticates with a certificate. */
  certificateBoundTokens?: boolean | undefined;
  dpopBoundTokens?: boolean | undefined;
};

/** Registers a client with its first secret (Generate). The plaintext is only in the result. */
export async function generateClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  input: NewClient,
): Promise<{ client: Client; secret: Secret; clientSecret: string }> {
  const { authMethod = 'client_secret_basic' } = input;
  const withoutKeys = { jwks: null, jwksUri: null, certificateSubject: null };
  const client = await registerClient(transaction, deps, actor, input, { authMethod, ...withoutKeys });
  const { secret, plaintext } = await addSecret(transaction, deps, asSecretOwner(client), 1);
  return { client, secret, clientSecret: plaintext };
}

/** Registers a client without adding a secret. */
export async function registerClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  input: Omit<NewClient, 'authMethod'>,
  authentication: Authentication,
): Promise<Client> {
  const at = new Date(deps.clock());
  const tokenFormat = input.kind === 'resource_server' ? (input.tokenFormat ?? 'opaque') : null;
  const id = randomUUID();
  const { organizationId = deploymentOrganization } = input;
  const held = await holdForNewClient(transaction, input.kind, organizationId);
  const organization = held.held(organizationId);
  if (input.kind === 'integration') await requireRoom(transaction, organization, 'integrations', 1);
  const client: Client = {
    id,
    clientId: generateClientId(),
    kind: input.kind,
    organizationId,
    name: input.name,
    enabled: true,
    scope: parseScope(input.scope ?? ''),
    accessKey: input.accessKey ?? 'optional',
    reveal: revealWithin(organization, await revealByPolicy(transaction, organizationId, input.reveal)),
    ...authentication,
    certificateBoundTokens: input.certificateBoundTokens ?? hasCertificate(authentication),
    dpopBoundTokens: input.dpopBoundTokens ?? false,
    resource: input.resource ?? null,
    information: input.information ?? [],
    scopes: await changeScopes(transaction, { id, scopes: [] }, input.scopes, deps.clock()),
    tokenFormat,
    tokenTyp: typOf(tokenFormat, input.tokenTyp),
    ...detailsOf(input),
    ...initialState(at),
  };
  await requireConsistent(transaction, client, input, held);
  await requireClientPolicies(transaction, undefined, client, deps.clock());
  if (client.kind === 'resource_server') await requireNoneGained(transaction, { information: [], scopes: [] }, client);
  await unlessTaken(insertClient(transaction, client), resourceTaken);
  await announceClient(transaction, client, at);
  await audit(transaction, actor, at, 'client.create', client, { after: auditView(client) });
  return client;
}

/**
 * Changes the given members only.
 * @param expectedRevisions from If-Match; undefined accepts any revision.
 * @throws {KeyturnError} `precondition_failed` if the client was changed in the meantime.
 */
export async function updateClient(
  transaction: Transaction,
  deps: ReviewDeps & KeyDeps,
  actor: Actor,
  clientId: string,
  patch: ClientPatch,
  expectedRevisions?: readonly number[],
): Promise<Client> {
  const held = await holdForClient(transaction, clientId, patch);
  const client = await requireClient(transaction, clientId);
  requireRevision(client.revision, expectedRevisions);
  held?.held(client.organizationId);
  await requireNoneCut(transaction, deps, client, patch);
  if (Object.values(patch).every((value) => value === undefined)) return client;
  const tokenFormat = patch.tokenFormat ?? client.tokenFormat;
  const changed: Client = {
    ...client,
    name: patch.name ?? client.name,
    ...(await moveClient(transaction, client, patch.organizationId, held)),
    scope: patch.scope === undefined ? client.scope : parseScope(patch.scope),
    accessKey: patch.accessKey ?? client.accessKey,
    resource: patch.resource === undefined ? client.resource : patch.resource,
    information: patch.information ?? client.information,
    scopes: await changeScopes(transaction, client, patch.scopes, deps.clock()),
    tokenFormat,
    tokenTyp: typOf(tokenFormat, patch.tokenTyp ?? client.tokenTyp),
    certificateBoundTokens: patch.certificateBoundTokens ?? client.certificateBoundTokens,
    dpopBoundTokens: patch.dpopBoundTokens ?? client.dpopBoundTokens,
    ...detailsOf(patch, client),
    ...replaceKeys(client, patch, keyDepsOf(deps, { dialects: patch.dialects ?? client.dialects })),
  };
  await requireConsistent(transaction, changed, patch, held);
  await requireClientPolicies(transaction, client, changed, deps.clock());
  if (client.kind === 'resource_server') {
    const renames = await findRenames(transaction, client, changed);
    await requireUnused(transaction, client, changed, renames);
    await requireNoneGained(transaction, client, changed);
    await requireScopeConfirmation(transaction, deps, client, changed, renames, patch.confirmation);
    const saveHolder = (before: Client, after: Client) =>
      save(transaction, deps, actor, 'client.update', before, after);
    await renameScopes(
      transaction,
      actor,
      { renames, resource: client.resource, at: new Date(deps.clock()) },
      saveHolder,
    );
  }
  const saved = await save(transaction, deps, actor, 'client.update', client, changed);
  await saveCurrentKeys(transaction, saved);
  return saved;
}

/** Stores the changed keys of a client with its current credential too, if that has a row. */
export async function saveCurrentKeys(transaction: Transaction, client: Client): Promise<void> {
  const current = currentOf(await findSecrets(transaction, asSecretOwner(client)));
  if (current && isKeyCredential(current)) await saveRegistration(transaction, current, registrationOf(client));
}

/** Disables a client and ends all its tokens, which stay invalid when it is enabled again. */
export async function disableClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<Client> {
  const client = await requireClient(transaction, clientId);
  if (!client.enabled) return client;
  await recordChange(transaction, { kind: 'disabled_client', target: client.id, at: new Date(deps.clock()) });
  return await save(transaction, deps, actor, 'client.disable', client, {
    ...withoutTokens(client, deps.clock()),
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
  await requireNotUnused(transaction, client, deps.clock());
  await recordChange(transaction, { kind: 'enabled_client', target: client.id, at: new Date(deps.clock()) });
  return await save(transaction, deps, actor, 'client.enable', client, { ...client, enabled: true });
}

/** Ends all live tokens of a client in a single write. */
export async function revokeClientTokens(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<Client> {
  const client = await requireClient(transaction, clientId);
  return await save(transaction, deps, actor, 'client.revoke_tokens', client, withoutTokens(client, deps.clock()));
}

/**
 * @throws {Conflict} `client_is_enabled`: a client must be disabled first, so that one mistake cannot delete a client
 * in use.
 */
export async function deleteClient(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const client = await requireClient(transaction, clientId);
  if (client.enabled) throw new Conflict('client_is_enabled', 'An enabled client cannot be deleted. Disable it first.');
  await requireUnused(transaction, client);
  await deleteClientRow(transaction, client, at);
  await audit(transaction, actor, at, 'client.delete', client, { before: auditView(client) });
}

/** Returns the current secret and records an audit event; the caller shows the secret after the commit. */
export async function revealClientSecret(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  clientId: string,
): Promise<{ client: Client; clientSecret: string }> {
  const client = await requireClient(transaction, clientId);
  await requireRevealable(transaction, client, deps.clock());
  return { client, clientSecret: await revealSecret(transaction, deps, actor, asSecretOwner(client)) };
}

/** Finds and locks a client. @throws {NotFound} */
export async function requireClient(transaction: Transaction, clientId: string): Promise<Client> {
  const client = await lockClient(transaction, clientId);
  if (!client) throw new NotFound('client');
  return client;
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
  const saved = await unlessTaken(saveClient(transaction, after, at), resourceTaken);
  await recordNarrowed(transaction, { kind: 'narrowed_client', id: before.id, at }, before.scope, saved.scope);
  await recordLimits(transaction, before, saved, at);
  await audit(transaction, actor, at, action, saved, { before: auditView(before), after: auditView(saved) });
  return saved;
}

function typOf(tokenFormat: TokenFormat | null, given: TokenTyp | null | undefined): TokenTyp | null {
  return tokenFormat === 'jwt' ? (given ?? 'at+jwt') : null;
}

function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  action: string,
  client: Client,
  states: Pick<AuditEvent, 'before' | 'after'>,
): Promise<void> {
  const { clientId: target, organizationId } = client;
  return appendAuditEvent(transaction, { at, actor, action, targetType: 'client', target, organizationId, ...states });
}
