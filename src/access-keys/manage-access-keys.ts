import { randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import {
  defaultExpiry,
  type HeldOrganization,
  requireLifeWithin,
  requireScopesWithin,
  revealWithin,
} from '../clients/ceiling.ts';
import { parseScope } from '../clients/client.ts';
import type { Labels } from '../clients/client-details.ts';
import { holdResourceServers } from '../clients/client-store.ts';
import type { Claims } from '../clients/custom-claims.ts';
import { requireRoom } from '../clients/hold-organizations.ts';
import type { ManageDeps } from '../clients/manage-clients.ts';
import { requireOffered } from '../clients/offered-scopes.ts';
import { requireContact } from '../contacts/manage-contacts.ts';
import { holdForContact } from '../contacts/move-contact.ts';
import type { Secret } from '../credentials/secret.ts';
import { Conflict, InvalidInput, invalidField, NotFound, requireRevision } from '../errors.ts';
import { revealByPolicy } from '../policies/require-policies.ts';
import { addSecret, revealSecret } from '../secrets/manage-secrets.ts';
import { recordChange, recordNarrowed } from '../storage/change.ts';
import { type Transaction, unlessTaken } from '../storage/database.ts';
import { type AccessKey, otherScopes, type Permissions, statusOf, toPermissions, toScope } from './access-key.ts';
import { auditView, type GivenLimits, isLimited, limitsOf, requireConsistent, unlimited } from './access-key-limits.ts';
import { requireKeyAllowed, requireKeyPolicies } from './access-key-policies.ts';
import {
  asSecretOwner,
  deleteAccessKey,
  findClientIds,
  insertAccessKey,
  lockAccessKey,
  requireKeyAndOrganization,
  saveAccessKey,
} from './access-key-store.ts';

type GivenNotes = {
  description?: string | null | undefined;
  labels?: Labels | undefined;
  claims?: Claims | undefined;
};

export type NewAccessKey = GivenNotes &
  GivenLimits & {
    name: string;
    permissions?: Permissions | undefined;
    /** Declared scopes that are not in `permissions`, separated by spaces. */
    scope?: string | undefined;
    /** Client IDs; null or undefined allows any client. */
    clients?: readonly string[] | null | undefined;
    expiresAt?: Date | null | undefined;
    reveal?: boolean | undefined;
  };

/** @property standaloneKeys whether the deployment accepts keys that stand alone. */
type AccessKeyDeps = ManageDeps & { standaloneKeys: boolean };

/** Creates an access key (Create Key). Only the result contains the plaintext. */
export async function createAccessKey(
  transaction: Transaction,
  deps: AccessKeyDeps,
  actor: Actor,
  contactId: string,
  input: NewAccessKey,
): Promise<{ key: AccessKey; secret: Secret; accessKey: string }> {
  const at = new Date(deps.clock());
  requireFuture(input.expiresAt, deps);
  const held = await holdForContact(transaction, contactId);
  const contact = await requireContact(transaction, contactId);
  const organization = held(contact.organizationId);
  await requireRoom(transaction, organization, 'accessKeys', 1);
  const key: AccessKey = {
    id: randomUUID(),
    contactId: contact.id,
    name: input.name,
    scope: await toOfferedScope(transaction, input, [], organization),
    clients: await requireClients(transaction, input.clients),
    ...limitsOf(input, unlimited),
    claims: input.claims ?? {},
    notes: { description: input.description ?? null, labels: input.labels ?? {} },
    organizationId: null,
    enabled: true,
    reveal: revealWithin(organization, await revealByPolicy(transaction, organization.id, input.reveal)),
    expiresAt: input.expiresAt === undefined ? defaultExpiry(organization, at) : input.expiresAt,
    usedAt: null,
    lastUsedAt: null,
    tokenEpoch: 0,
    scopeVersion: 0,
    scopeHistory: [],
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  requireLifeWithin(organization, key);
  requireConsistent(key, { wasStandalone: false }, deps);
  await requireKeyPolicies(transaction, organization.id, undefined, key, deps.clock());
  await unlessTaken(insertAccessKey(transaction, key), nameTaken);
  const { secret, plaintext } = await addSecret(transaction, deps, asSecretOwner(key), 1);
  await recordChange(transaction, { kind: 'access_key', target: key.id, at });
  await audit(transaction, actor, at, 'access_key.create', { after: key });
  return { key, secret, accessKey: plaintext };
}

export type AccessKeyPatch = GivenNotes &
  GivenLimits & {
    name?: string | undefined;
    permissions?: Permissions | undefined;
    /** Replaces the scopes that are not in `permissions`. */
    scope?: string | undefined;
    clients?: readonly string[] | null | undefined;
    expiresAt?: Date | null | undefined;
  };

/**
 * Changes the key's name, permissions, clients or expiry (Save Key). Live tokens follow at once.
 * @param expectedRevisions from If-Match; undefined accepts any revision.
 */
export async function saveKey(
  transaction: Transaction,
  deps: AccessKeyDeps,
  actor: Actor,
  id: string,
  patch: AccessKeyPatch,
  expectedRevisions?: readonly number[],
): Promise<AccessKey> {
  const { key, organization } = await requireKeyAndOrganization(transaction, id);
  requireRevision(key.revision, expectedRevisions);
  if (Object.values(patch).every((value) => value === undefined)) return key;
  // Accept an unchanged past date for an expired key, which a form sends together with the other changes.
  if (statusOf({ ...key, enabled: true }, deps.clock()) !== 'expired') requireFuture(patch.expiresAt, deps);
  const changed: AccessKey = {
    ...key,
    name: patch.name ?? key.name,
    scope: await toOfferedScope(transaction, patch, key.scope, organization),
    clients: patch.clients === undefined ? key.clients : await requireClients(transaction, patch.clients),
    expiresAt: patch.expiresAt === undefined ? key.expiresAt : patch.expiresAt,
    ...limitsOf(patch, key),
    claims: patch.claims ?? key.claims,
    notes: {
      description: patch.description === undefined ? (key.notes?.description ?? null) : patch.description,
      labels: patch.labels ?? key.notes?.labels ?? {},
    },
  };
  if (patch.expiresAt !== undefined && key.enabled) requireLifeWithin(organization, changed);
  requireConsistent(changed, { wasStandalone: key.standalone }, deps);
  await requireKeyPolicies(transaction, organization.id, key, changed, deps.clock());
  return await save(transaction, deps, actor, 'access_key.update', key, changed);
}

/**
 * @throws {InvalidInput} if the expiry is in the past: to end a key now, disable it, so that the audit log shows that.
 */
function requireFuture(end: Date | null | undefined, { clock }: ManageDeps): void {
  if (end && end.getTime() <= clock()) {
    const message = 'must be in the future; to stop a key now, disable it';
    throw invalidField('expires_at', message);
  }
}

/** Enables or disables a key. Tokens obtained with the key are inactive while it is disabled. */
export async function setAccessKeyEnabled(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  id: string,
  enabled: boolean,
): Promise<AccessKey> {
  const { key, organization } = enabled
    ? await requireKeyAndOrganization(transaction, id)
    : { key: await requireAccessKeyRow(transaction, id) };
  if (key.enabled === enabled) return key;
  if (organization) {
    await requireRoom(transaction, organization, 'accessKeys', 1);
    requireLifeWithin(organization, key);
    await requireKeyAllowed(transaction, organization.id, 'unused', key, deps.clock());
    requireScopesWithin(organization, { ...key, resource: null }, await holdResourceServers(transaction));
  }
  const action = enabled ? 'access_key.enable' : 'access_key.disable';
  const kind = enabled ? 'enabled_access_key' : 'disabled_access_key';
  await recordChange(transaction, { kind, target: key.id, at: new Date(deps.clock()) });
  return await save(transaction, deps, actor, action, key, { ...key, enabled });
}

/** Returns the value of a key. The audit event is committed before it is shown. */
export async function revealAccessKey(transaction: Transaction, deps: ManageDeps, actor: Actor, id: string) {
  const { key, organization } = await requireKeyAndOrganization(transaction, id);
  await requireKeyAllowed(transaction, organization.id, 'no_reveal', key, deps.clock());
  return await revealSecret(transaction, deps, actor, asSecretOwner(key));
}

/**
 * Removes a key that was never used (Remove Key). The lock orders a concurrent first use before or after the removal.
 * @throws {Conflict} `access_key_was_used`
 */
export async function removeAccessKey(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  id: string,
): Promise<void> {
  const at = new Date(deps.clock());
  const { key, organization } = await requireKeyAndOrganization(transaction, id);
  if (key.usedAt !== null) {
    throw new Conflict(
      'access_key_was_used',
      'An access key that was used cannot be removed, because its history must stay known. Disable it instead.',
      { used_at: key.usedAt.toISOString() },
    );
  }
  await deleteAccessKey(transaction, id, at);
  // If the database loses the removal, the key must not be usable again.
  await recordChange(transaction, { kind: 'disabled_access_key', target: id, at });
  await audit(transaction, actor, at, 'access_key.remove', { before: key, organizationId: organization.id });
}

async function requireAccessKeyRow(transaction: Transaction, id: string): Promise<AccessKey> {
  const key = await lockAccessKey(transaction, id);
  if (!key) throw new NotFound('access key');
  return key;
}

async function save(
  transaction: Transaction,
  deps: ManageDeps,
  actor: Actor,
  action: string,
  before: AccessKey,
  after: AccessKey,
): Promise<AccessKey> {
  const at = new Date(deps.clock());
  const saved = await unlessTaken(saveAccessKey(transaction, after, at), nameTaken);
  await recordNarrowed(transaction, { kind: 'narrowed_access_key', id: before.id, at }, before.scope, saved.scope);
  if (isLimited(before, saved)) {
    const { id, clients, expiresAt, standalone, networkMode } = saved;
    const networks = networkMode === 'enforce' ? saved.allowedNetworks : null;
    const target = JSON.stringify([id, clients, expiresAt, standalone, networks]);
    await recordChange(transaction, { kind: 'limited_access_key', target, at });
  }
  await audit(transaction, actor, at, action, { before, after: saved });
  return saved;
}

async function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  action: string,
  { before, after, organizationId }: { before?: AccessKey; after?: AccessKey; organizationId?: string },
): Promise<void> {
  await appendAuditEvent(transaction, {
    at,
    actor,
    action,
    targetType: 'access_key',
    target: (after ?? before)?.id ?? '',
    organizationId,
    ...(before ? { before: auditView(before) } : {}),
    ...(after ? { after: auditView(after) } : {}),
  });
}

/**
 * Returns the scopes of a key: those of the matrix, then the others. What is not given stays.
 * @throws {InvalidInput} with the scopes that no resource server offers.
 * @throws {Conflict} `ceiling_exceeded` with those that the ceiling of the organization does not allow.
 */
async function toOfferedScope(
  transaction: Transaction,
  { permissions, scope: others }: Pick<AccessKeyPatch, 'permissions' | 'scope'>,
  before: readonly string[],
  organization: HeldOrganization,
): Promise<readonly string[]> {
  if (permissions === undefined && others === undefined) return before;
  const scope = [
    ...toScope(permissions ?? toPermissions(before)),
    ...(others === undefined ? otherScopes(before) : parseScope(others)),
  ];
  const servers = await holdResourceServers(transaction);
  requireOffered(scope, servers);
  requireScopesWithin(organization, { scope, resource: null }, servers);
  return [...new Set(scope)];
}

async function requireClients(
  transaction: Transaction,
  clientIds: readonly string[] | null | undefined,
): Promise<string[] | null> {
  if (!clientIds) return null;
  const ids = await findClientIds(transaction, clientIds);
  const unknown = clientIds.filter((clientId) => !ids.has(clientId));
  if (unknown.length > 0) throw new InvalidInput(`clients: client not found: ${unknown.join(', ')}.`);
  return [...new Set(ids.values())];
}

function nameTaken(): Conflict {
  return new Conflict('name_taken', 'name: this contact already has an access key with this name.');
}
