import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { type Client, isSecretMethod } from '../clients/client.ts';
import { lockClient, lockClientById } from '../clients/client-store.ts';
import { type ClientJwks, readVerificationKey, requireUsableJwks } from '../clients/verification-key.ts';
import { Conflict, InvalidInput, invalidField, NotFound, requireRevision } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import { recordDistrusted } from '../storage/lost-rows.ts';
import type { Condition, PresetName, Trust, TrustKeys } from './trust.ts';
import { isOfSpiffe } from './trust.ts';
import { trustAlgorithms, withoutSpiffeUse } from './trust-keys.ts';
import { presetFor, presets } from './trust-presets.ts';
import { deleteTrust, hasEnabledTrust, insertTrust, lockTrust, saveTrust } from './trust-store.ts';

/** @property clusterUrl the API of the cluster that the deployment runs in, if it is configured. */
export type TrustDeps = { clock: () => number; issuer: string; clusterUrl: string | undefined };

export type GivenTrust = {
  name?: string | undefined;
  preset?: PresetName | undefined;
  issuer?: string | undefined;
  audience?: string | undefined;
  /** Null: the keys are found by discovery. */
  jwks?: ClientJwks | null | undefined;
  jwksUri?: string | null | undefined;
  inCluster?: boolean | undefined;
  ca?: string | null | undefined;
  conditions?: readonly Condition[] | undefined;
  maxLifetimeSeconds?: number | undefined;
  enabled?: boolean | undefined;
};

/** The longest accepted lifetime of tokens, and the one of trusts that name none. */
const maxLifetimeSeconds = 86_400;

/**
 * Creates a trust of an integration. It is accepted once the client has the credential `workload_identity`.
 * @throws {NotFound} @throws {InvalidInput} if others could meet its conditions, or its keys cannot be found.
 */
export async function createTrust(
  transaction: Transaction,
  deps: TrustDeps,
  actor: Actor,
  clientId: string,
  given: GivenTrust & { name: string; conditions: readonly Condition[] },
): Promise<Trust> {
  const client = await lockClient(transaction, clientId);
  if (!client) throw new NotFound('client');
  if (client.kind !== 'integration') throw new InvalidInput('client_id: only an integration can have a trust.');
  const at = new Date(deps.clock());
  const { preset = 'custom' } = given;
  const trust: Trust = {
    id: randomUUID(),
    client: client.id,
    clientId: client.clientId,
    clientName: client.name,
    name: given.name,
    preset,
    issuer: given.issuer ?? presets[preset].issuer ?? '',
    audience: given.audience ?? deps.issuer,
    keys: keysOf(given, undefined),
    conditions: given.conditions,
    maxLifetimeSeconds: given.maxLifetimeSeconds ?? maxLifetimeSeconds,
    enabled: given.enabled ?? true,
    revision: 1,
    createdAt: at,
    updatedAt: at,
  };
  requireSafe(trust, deps);
  await insertTrust(transaction, trust);
  await audit(transaction, actor, at, 'trust.create', { after: trust });
  return trust;
}

/** Changes a trust. Tokens that do not meet it any more are rejected at once. @throws {NotFound} @throws {InvalidInput} */
export async function updateTrust(
  transaction: Transaction,
  deps: TrustDeps,
  actor: Actor,
  id: string,
  given: GivenTrust,
  expectedRevisions?: readonly number[],
): Promise<Trust> {
  const { trust, client } = await requireTrust(transaction, id);
  requireRevision(trust.revision, expectedRevisions);
  if (Object.values(given).every((value) => value === undefined)) return trust;
  const preset = given.preset ?? trust.preset;
  const changed: Trust = {
    ...trust,
    name: given.name ?? trust.name,
    preset,
    issuer: given.issuer ?? trust.issuer,
    audience: given.audience ?? trust.audience,
    keys: keysOf(given, trust.keys),
    conditions: given.conditions ?? trust.conditions,
    maxLifetimeSeconds: given.maxLifetimeSeconds ?? trust.maxLifetimeSeconds,
    enabled: given.enabled ?? trust.enabled,
  };
  requireSafe(changed, deps);
  const at = new Date(deps.clock());
  const saved = await saveTrust(transaction, changed, at);
  if (!isDeepStrictEqual({ ...changed, name: trust.name }, trust)) {
    await recordDistrusted(transaction, 'trusts', id, at);
  }
  if (trust.enabled && !saved.enabled) await requireAnother(transaction, client);
  await audit(transaction, actor, at, 'trust.update', { before: trust, after: saved });
  return saved;
}

/** Deletes a trust. @throws {NotFound} @throws {Conflict} `last_trust` if its client could not authenticate any more. */
export async function removeTrust(transaction: Transaction, deps: TrustDeps, actor: Actor, id: string): Promise<void> {
  const { trust, client } = await requireTrust(transaction, id);
  const at = new Date(deps.clock());
  await deleteTrust(transaction, id, at);
  if (trust.enabled) await requireAnother(transaction, client);
  await audit(transaction, actor, at, 'trust.delete', { before: trust });
}

async function requireTrust(transaction: Transaction, id: string): Promise<{ trust: Trust; client: Client }> {
  const trust = await lockTrust(transaction, id);
  const client = trust && (await lockClientById(transaction, trust.client));
  if (!trust || !client) throw new NotFound('trust');
  return { trust, client };
}

/** @throws {Conflict} if an enabled client that has no secret and no key would be left without a trust. */
async function requireAnother(transaction: Transaction, client: Client): Promise<void> {
  if (!client.enabled || isSecretMethod(client.authMethod) || client.authMethod !== 'workload_identity') return;
  if (await hasEnabledTrust(transaction, client.id)) return;
  throw new Conflict(
    'last_trust',
    'The client authenticates with this trust alone. Disable the client, or rotate it to another credential first.',
  );
}

function keysOf({ jwks, jwksUri, inCluster, ca }: GivenTrust, before: TrustKeys | undefined): TrustKeys {
  const given = [jwks, jwksUri, inCluster || undefined].filter((each) => each !== undefined && each !== null);
  if (given.length > 1) throw new InvalidInput('Only one of `jwks`, `jwks_uri` and `in_cluster` can be given.');
  const kept: TrustKeys = before ?? { source: 'discovery', jwks: null, jwksUri: null, ca: null };
  const own = ca === undefined ? kept.ca : ca;
  const none = { jwks: null, jwksUri: null, ca: own };
  if (jwks) return { ...none, source: 'jwks', jwks };
  if (typeof jwksUri === 'string') return { ...none, source: 'jwks_uri', jwksUri };
  if (inCluster) return { ...none, source: 'in_cluster' };
  const isDropped = jwks === null || jwksUri === null || (inCluster === false && kept.source === 'in_cluster');
  if (isDropped) return { ...none, source: 'discovery' };
  return { ...kept, ca: own };
}

/** @throws {InvalidInput} if others could meet the conditions, or the keys of the issuer cannot be found. */
function requireSafe(trust: Trust, { clusterUrl }: TrustDeps): void {
  const { issuer, keys, conditions } = trust;
  if (issuer === '') throw invalidField('issuer', 'required: the `iss` of its tokens');
  if (!presets[trust.preset].isIssuer(issuer)) throw invalidField('issuer', `is not one of the preset ${trust.preset}`);
  if (!isOfSpiffe(trust) && !isPlainUrl(issuer))
    throw invalidField('issuer', 'must be an https URL without query and fragment');
  if (keys.jwksUri !== null && !isPlainUrl(keys.jwksUri)) throw invalidField('jwks_uri', 'must be an https URL');
  if (isOfSpiffe(trust) && keys.source === 'discovery') {
    throw invalidField(
      'jwks_uri',
      'required for a SPIFFE trust domain: the bundle endpoint, or `jwks` with the bundle',
    );
  }
  if (keys.source === 'in_cluster' && clusterUrl === undefined) {
    throw invalidField('in_cluster', 'this deployment names no cluster; set KEYTURN_CLUSTER_URL');
  }
  if (keys.jwks) requireUsableJwks(keys.jwks, (jwk) => readVerificationKey(withoutSpiffeUse(jwk), trustAlgorithms));
  if (keys.ca !== null && !keys.ca.includes('-----BEGIN CERTIFICATE-----'))
    throw invalidField('ca', 'must be certificates in PEM');
  for (const [index, { prefix }] of conditions.entries()) {
    if (prefix !== undefined && /^[/:]*$/.test(prefix))
      throw invalidField(`conditions.${index}.prefix`, 'must not be empty');
  }
  const lack = presetFor(trust).lacks(conditions, issuer);
  if (lack !== undefined) throw invalidField('conditions', lack);
}

function isPlainUrl(text: string): boolean {
  if (text.length > 2_000 || !URL.canParse(text) || /[\s?#]/.test(text)) return false;
  const { protocol, username, password } = new URL(text);
  return protocol === 'https:' && !username && !password;
}

async function audit(
  transaction: Transaction,
  actor: Actor,
  at: Date,
  action: string,
  { before, after }: { before?: Trust; after?: Trust },
): Promise<void> {
  await appendAuditEvent(transaction, {
    at,
    actor,
    action,
    targetType: 'client',
    target: (after ?? before)?.clientId ?? '',
    ...(before ? { before: auditView(before) } : {}),
    ...(after ? { after: auditView(after) } : {}),
  });
}

function auditView(trust: Trust): Record<string, unknown> {
  return {
    trust_id: trust.id,
    name: trust.name,
    preset: trust.preset,
    issuer: trust.issuer,
    audience: trust.audience,
    keys: { source: trust.keys.source, jwks_uri: trust.keys.jwksUri },
    conditions: trust.conditions.map(({ claim, equals, oneOf, prefix }) => ({ claim, equals, one_of: oneOf, prefix })),
    max_lifetime: trust.maxLifetimeSeconds,
    enabled: trust.enabled,
  };
}
