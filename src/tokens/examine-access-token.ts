import { type AccessKey, type KnownAccessKey, refusalOfKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { namedOrganization } from '../clients/ceiling.ts';
import { type Client, type KnownClient, parseScope, scopeAt } from '../clients/client.ts';
import { type Claims, mergeClaims } from '../clients/custom-claims.ts';
import { generatedScopes, isDeclared, isHeld, isOffered } from '../clients/offered-scopes.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import type { Secret } from '../credentials/secret.ts';
import { isJwtShaped, readJwtAccessToken } from './jwt-access-token.ts';
import type { SigningKey } from './signing-keys.ts';
import type { AccessKeyRef, TokenRecord } from './token-record.ts';
import { isBoundAsRequired, type TokenDeps, type TokenRefusal } from './token-rules.ts';

/** A live token with its current scope and audience at the resource server that asks. */
export type LiveToken = {
  record: TokenRecord;
  scope: string;
  audience: string;
  accessKey: AccessKey | undefined;
  /** The organization that the client belongs to; undefined for that of the deployment. */
  organizationId: string | undefined;
  /** The current custom claims; undefined if there are none. */
  claims: Claims | undefined;
};

/**
 * Why a token is not live, or not at a resource server, with what was found until that was known. Introspection
 * discards it, because RFC 7662 §2.2 allows no reason in the answer; the log of rejected requests and `explain` use it.
 */
export type RefusedToken = { refusal: TokenRefusal } & Partial<FoundToken>;

/**
 * Returns what a token currently allows at this resource server, or why it is not live there.
 * @param presented reads the access key of the request that the resource server serves, if it forwards one.
 * @throws {StoreUnavailable} if that cannot be determined.
 */
export async function examineToken(
  deps: TokenDeps,
  token: string,
  server: Client,
  presented?: (client: Client) => Promise<PresentedAccessKey | undefined>,
): Promise<LiveToken | RefusedToken> {
  const see = async (found: FoundToken): Promise<LiveToken | RefusedToken> => {
    const presentedKey = await presented?.(found.client);
    return presented && !presentedKey
      ? { refusal: 'presented_access_key', ...found }
      : seenBy(server, found, presentedKey?.key);
  };
  // Only live tokens are answered from the cache, so that all other answers take the same time.
  const near = recallRecord(deps, token);
  const recalled = near && recallFound(deps, near);
  const seen = recalled && (await see(recalled));
  if (seen && !('refusal' in seen)) return seen;
  const found = await judgeToken(deps, token);
  return 'refusal' in found ? found : await see(found);
}

/** Returns the result of `examineToken` for a token with this record. */
export async function examineRecord(
  deps: TokenDeps,
  record: TokenRecord | undefined,
  server: Client,
): Promise<LiveToken | RefusedToken> {
  const found = await judgeRecord(deps, record);
  return 'refusal' in found ? found : seenBy(server, found);
}

/** Returns the result of `examineRecord` from caches alone. Undefined does not mean that the token is not live. */
export function recallLiveToken(deps: TokenDeps, record: TokenRecord, server: Client): LiveToken | undefined {
  const found = recallFound(deps, record);
  return found && liveOnly(seenBy(server, found));
}

function liveOnly(examined: LiveToken | RefusedToken): LiveToken | undefined {
  return 'refusal' in examined ? undefined : examined;
}

/**
 * Returns the result of `recallLiveToken` as the same object until the token's client, access key or resource server
 * changes.
 */
export function recallSameToken(deps: TokenDeps, record: TokenRecord, server: Client): LiveToken | undefined {
  const found = recallFound(deps, record);
  if (!found) return undefined;
  const { client, key } = found;
  const before = seenBefore.get(record);
  // Compare by identity: caches replace an object as soon as it may have changed.
  if (before?.server === server && before.client === client && before.key === key) return before.live;
  const live = liveOnly(seenBy(server, found));
  if (live) seenBefore.set(record, { server, client, key, live });
  return live;
}

const seenBefore = new WeakMap<TokenRecord, Omit<FoundToken, 'record'> & { server: Client; live: LiveToken }>();

/** A token with its current client and access key. */
export type FoundToken = { record: TokenRecord; client: Client; key?: AccessKey | undefined };

/** Returns the result of `judgeRecord` from caches alone. Undefined does not mean that the token is not live. */
function recallFound(deps: TokenDeps, record: TokenRecord): FoundToken | undefined {
  if (endOf(deps, record)) return undefined;
  const known = deps.clients.peek(record.clientId);
  if (!known || refusalByClient(deps, record, known)) return undefined;
  if (!record.accessKey) return { record, client: known.client };
  const knownKey = deps.accessKeys.peek(record.accessKey.id);
  if (!knownKey || refusalByKey(deps, record.accessKey, known.client, knownKey)) return undefined;
  return { record, client: known.client, key: knownKey.key };
}

/** Returns what a token allows at this resource server, or why it is not live there. */
export function seenBy(server: Client, found: FoundToken, presentedKey?: AccessKey): LiveToken | RefusedToken {
  const { record, key } = found;
  if (record.resource !== undefined && record.resource !== server.resource) {
    return { refusal: 'other_resource', ...found };
  }
  const scope = grantedScope(server, found).filter((item) => !lackOf(item, server, found, presentedKey));
  // A token that was issued without any scope only identifies its client, and is valid at every resource server.
  if (scope.length === 0 && record.scope !== '') return { refusal: 'no_scope_left', ...found };
  const accessKey = key ?? presentedKey;
  const claims = mergeClaims(server, found.client, accessKey);
  return {
    record,
    scope: scope.join(' '),
    audience: server.resource ?? '',
    accessKey,
    organizationId: namedOrganization(found.client),
    claims,
  };
}

/** Returns what no longer allows a granted scope, or undefined if the token still allows it at this resource server. */
export function lackOf(
  scope: string,
  server: Client,
  { record, client, key }: FoundToken,
  presentedKey?: AccessKey,
): 'client' | 'access_key' | 'presented_access_key' | 'resource_server' | undefined {
  if (!isHeld(server, client.scope, scope)) return 'client';
  if (key && !isHeld(server, key.scope, scope)) return 'access_key';
  if (presentedKey && !isHeld(server, presentedKey.scope, scope)) return 'presented_access_key';
  return isOffered(server, scope, latestIssue(record)) ? undefined : 'resource_server';
}

/** Returns the latest time at which a token can have been issued. A JWT has whole seconds, and always a resource. */
function latestIssue({ issuedAt, resource }: TokenRecord): number {
  return resource === undefined ? issuedAt : issuedAt + 999;
}

/**
 * Returns the scope that was granted when the token was issued. It may contain scopes that this resource server does not
 * offer.
 */
export function grantedScope(server: Client, { record, client, key }: FoundToken): readonly string[] {
  if (record.scope !== undefined) return parseScope(record.scope);
  const { scopeVersions: versions } = record;
  if (!versions) return client.scope;
  const ofClient = scopeAt(client, client.scope, versions.client);
  const ofKey = key && scopeAt(key, key.scope, versions.accessKey);
  // Declared scopes are compared with the time at which they were declared, so only generated ones need their version.
  const generated = generatedScopes(
    record.resource === undefined ? server.information : scopeAt(server, server.information, versions.resource),
  );
  const since = latestIssue(record);
  return ofClient.filter((item) => {
    const wasOffered = generated.includes(item) || isDeclared(server, item, since);
    return wasOffered && (!ofKey || isHeld(server, ofKey, item, since));
  });
}

/** Returns a live token for any resource server, with its client and the access key that it was obtained with. */
export async function findLiveToken(deps: TokenDeps, token: string): Promise<FoundToken | undefined> {
  const found = await judgeToken(deps, token);
  return 'refusal' in found ? undefined : found;
}

/** Returns the result of `findLiveToken`, or why the token is live at no resource server. */
export async function judgeToken(deps: TokenDeps, token: string): Promise<FoundToken | RefusedToken> {
  return await judgeRecord(deps, await readToken(deps, token));
}

async function judgeRecord(deps: TokenDeps, record: TokenRecord | undefined): Promise<FoundToken | RefusedToken> {
  if (!record) return { refusal: 'unknown_token' };
  const ended = endOf(deps, record);
  if (ended) return { refusal: ended, record };
  const known = await findClientOf(deps, record);
  if (typeof known === 'string') return { refusal: known, record };
  const { client } = known;
  const refusal = refusalByClient(deps, record, known);
  if (refusal) return { refusal, record, client };
  if (!record.accessKey) return { record, client };
  const knownKey = await findKeyOf(deps, record.accessKey, client);
  if (!knownKey) return { refusal: 'removed_access_key', record, client };
  const keyRefusal = refusalByKey(deps, record.accessKey, client, knownKey);
  return keyRefusal
    ? { refusal: keyRefusal, record, client, key: knownKey.key }
    : { record, client, key: knownKey.key };
}

/** Returns the access key that a token was obtained with. Re-reads it if the cached one would end the token. */
async function findKeyOf(deps: TokenDeps, ref: AccessKeyRef, client: Client): Promise<KnownAccessKey | undefined> {
  const known = await deps.accessKeys.find(ref.id);
  if (known && !refusalByKey(deps, ref, client, known)) return known;
  // Re-read the key before the token counts as ended: another process may just have enabled or regenerated it.
  return await deps.accessKeys.findRecent(ref.id);
}

/** Returns why the access key that a token was obtained with ends it, or undefined if it does not. */
function refusalByKey(
  { clock }: TokenDeps,
  ref: AccessKeyRef,
  client: Client,
  { key, secrets }: KnownAccessKey,
): TokenRefusal | undefined {
  if (key.tokenEpoch !== ref.epoch) return 'access_key_tokens_revoked';
  if (!isOfGoodGeneration(secrets, ref.generation)) return 'undone_access_key_value';
  return refusalOfKey(key, client.id, clock());
}

/** Returns the client of a token. Re-reads it if the cached one would end the token. */
async function findClientOf(deps: TokenDeps, record: TokenRecord): Promise<KnownClient | 'deleted_client'> {
  const known = await deps.clients.find(record.clientId);
  if (known && !refusalByClient(deps, record, known)) return known;
  // Re-read the client before the token counts as ended: another process may just have enabled or regenerated it.
  return (await deps.clients.findRecent(record.clientId)) ?? 'deleted_client';
}

/**
 * Returns why the token's client, or the secret that it was obtained with, ends it, or undefined if they do not. An
 * unbound token is not valid if the client's tokens must be bound.
 */
function refusalByClient(
  { revocations }: TokenDeps,
  record: TokenRecord,
  { client, secrets }: KnownClient,
): TokenRefusal | undefined {
  if (!client.enabled) return 'client_disabled';
  if (record.epoch !== client.tokenEpoch) return 'client_tokens_revoked';
  if (!isBoundAsRequired(client, record.confirmation)) return 'not_bound';
  if (record.generation > 0 && !isOfGoodGeneration(secrets, record.generation)) return 'undone_secret';
  return revocations.hasUnseen(record.jti, client.id) ? 'revoked_token' : undefined;
}

/**
 * Returns whether the secret that the token was obtained with was not undone. An expired secret does not end its
 * tokens.
 */
function isOfGoodGeneration(secrets: readonly Secret[], generation: number): boolean {
  const secret = secrets.find((candidate) => candidate.generation === generation);
  return secret !== undefined && secret.endedAs !== 'undone';
}

/**
 * Returns the record of an issued token that has not expired and was not itself revoked. Ignores its client's state.
 */
export async function findToken(deps: TokenDeps, token: string): Promise<TokenRecord | undefined> {
  const record = await readToken(deps, token);
  return record && !endOf(deps, record) ? record : undefined;
}

/** Returns how a token has ended by itself, or undefined if it has not. */
function endOf({ clock, revocations }: TokenDeps, { expiresAt, jti }: TokenRecord): TokenRefusal | undefined {
  if (expiresAt * 1_000 <= clock() || !revocations.areKeptFor(expiresAt)) return 'expired_token';
  return revocations.has(jti) ? 'revoked_token' : undefined;
}

/** Returns the record of an issued token, even if the token has expired or was revoked. */
export async function readToken(deps: TokenDeps, token: string): Promise<TokenRecord | undefined> {
  if (isWellFormedSecret(token, 'kta_')) return await deps.tokenStore.find(token);
  if (!isJwtShaped(token)) return undefined;
  const keys = await deps.signingKeys.all();
  const record = await readJwtAccessToken(deps, keys, token);
  if (record) {
    verifiedWith.set(record, keys);
    deps.tokenStore.remember(token, record);
  }
  return record;
}

/** The published keys that a JWT was verified with. */
const verifiedWith = new WeakMap<TokenRecord, readonly SigningKey[]>();

/**
 * Returns the record of a token that was read within the last second. Undefined does not mean that the token is unknown.
 * A JWT is verified again as soon as a signing key changes, so that a withdrawn key ends its tokens at once.
 */
export function recallRecord({ tokenStore, signingKeys }: TokenDeps, token: string): TokenRecord | undefined {
  const record = tokenStore.peek(token);
  const keys = record && verifiedWith.get(record);
  return keys && keys !== signingKeys.peekAll() ? undefined : record;
}
