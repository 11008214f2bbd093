import { type AccessKey, isUsable, type KnownAccessKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { type Client, type KnownClient, offeredScopes, parseScope, scopeAt } from '../clients/client.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import type { Secret } from '../credentials/secret.ts';
import { isJwtShaped, readJwtAccessToken } from './jwt-access-token.ts';
import type { SigningKey } from './signing-keys.ts';
import type { AccessKeyRef, TokenRecord } from './token-record.ts';
import { isBoundAsRequired, narrow, offeredBy, type TokenDeps } from './token-rules.ts';

/** A live token with its current scope and audience at the resource server that asks. */
export type LiveToken = { record: TokenRecord; scope: string; audience: string; accessKey: AccessKey | undefined };

/**
 * Returns what a token currently allows at this resource server, or undefined if it is not live there.
 * @param presented reads the access key of the request that the resource server serves, if it forwards one.
 * @throws {StoreUnavailable} if that cannot be determined.
 */
export async function examineToken(
  deps: TokenDeps,
  token: string,
  server: Client,
  presented?: (client: Client) => Promise<PresentedAccessKey | undefined>,
): Promise<LiveToken | undefined> {
  const see = async (found: FoundToken | undefined) => {
    const presentedKey = found && (await presented?.(found.client));
    return found && (presentedKey || !presented) ? seenBy(server, found, presentedKey?.key) : undefined;
  };
  // Only live tokens are answered from the cache, so that all other answers take the same time.
  const near = recallRecord(deps, token);
  return (await see(near && recallFound(deps, near))) ?? (await see(await findLiveToken(deps, token)));
}

/** Returns the result of `examineToken` for a token with this record. */
export async function examineRecord(
  deps: TokenDeps,
  record: TokenRecord | undefined,
  server: Client,
): Promise<LiveToken | undefined> {
  const found = record && isUnended(deps, record) ? await findOwners(deps, record) : undefined;
  return found && seenBy(server, found);
}

/** Returns the result of `examineRecord` from caches alone. Undefined does not mean that the token is not live. */
export function recallLiveToken(deps: TokenDeps, record: TokenRecord, server: Client): LiveToken | undefined {
  const found = recallFound(deps, record);
  return found && seenBy(server, found);
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
  const live = seenBy(server, found);
  if (live) seenBefore.set(record, { server, client, key, live });
  return live;
}

const seenBefore = new WeakMap<TokenRecord, Omit<FoundToken, 'record'> & { server: Client; live: LiveToken }>();

/** A token with its current client and access key. */
type FoundToken = { record: TokenRecord; client: Client; key: AccessKey | undefined };

/** Returns the result of `findOwners` for an unexpired token from caches alone. */
function recallFound(deps: TokenDeps, record: TokenRecord): FoundToken | undefined {
  if (!isUnended(deps, record)) return undefined;
  const known = deps.clients.peek(record.clientId);
  if (!known || !isOfLiveClient(deps, record, known)) return undefined;
  if (!record.accessKey) return { record, client: known.client, key: undefined };
  const knownKey = deps.accessKeys.peek(record.accessKey.id);
  if (!knownKey || !isOfLiveKey(deps, record.accessKey, known.client, knownKey)) return undefined;
  return { record, client: known.client, key: knownKey.key };
}

function seenBy(server: Client, { record, client, key }: FoundToken, presentedKey?: AccessKey): LiveToken | undefined {
  if (record.resource !== undefined && record.resource !== server.resource) return undefined;
  const granted = grantedScope(server, { record, client, key }).filter((item) => client.scope.includes(item));
  const scope = offeredBy(server, narrow(narrow(granted, key), presentedKey));
  // A token that was issued without any scope only identifies its client, and is valid at every resource server.
  if (scope.length === 0 && record.scope !== '') return undefined;
  return { record, scope: scope.join(' '), audience: server.resource ?? '', accessKey: key ?? presentedKey };
}

/**
 * Returns the scope that was granted when the token was issued. It may contain scopes that this resource server does not
 * offer.
 */
function grantedScope(server: Client, { record, client, key }: FoundToken): readonly string[] {
  if (record.scope !== undefined) return parseScope(record.scope);
  const { scopeVersions: versions } = record;
  if (!versions) return client.scope;
  const ofClient = scopeAt(client, client.scope, versions.client);
  const ofKey = key && scopeAt(key, key.scope, versions.accessKey);
  const offered = offeredScopes(
    record.resource === undefined ? server.information : scopeAt(server, server.information, versions.resource),
  );
  return ofClient.filter((item) => (!ofKey || ofKey.includes(item)) && offered.includes(item));
}

/** Returns a live token for any resource server, with its client and the access key that it was obtained with. */
export async function findLiveToken(deps: TokenDeps, token: string): Promise<FoundToken | undefined> {
  const record = await findToken(deps, token);
  return record && (await findOwners(deps, record));
}

/** Returns undefined if a change of the client or access key has ended the token. */
async function findOwners(deps: TokenDeps, record: TokenRecord): Promise<FoundToken | undefined> {
  const known = await findLiveClient(deps, record);
  if (!known) return undefined;
  const key = record.accessKey && (await findLiveKey(deps, record.accessKey, known.client));
  if (record.accessKey && !key) return undefined;
  return { record, client: known.client, key };
}

/** Returns the access key that a token was obtained with, if it is still valid for the token's client. */
async function findLiveKey(deps: TokenDeps, ref: AccessKeyRef, client: Client): Promise<AccessKey | undefined> {
  const known = await deps.accessKeys.find(ref.id);
  if (known && isOfLiveKey(deps, ref, client, known)) return known.key;
  // Re-read the key before the token counts as ended: another process may just have enabled or regenerated it.
  const recent = await deps.accessKeys.findRecent(ref.id);
  return recent && isOfLiveKey(deps, ref, client, recent) ? recent.key : undefined;
}

/**
 * Returns whether the access key that a token was obtained with, and its value, are still valid for the token's client.
 */
function isOfLiveKey(
  { clock }: TokenDeps,
  ref: AccessKeyRef,
  client: Client,
  { key, secrets }: KnownAccessKey,
): boolean {
  return (
    key.tokenEpoch === ref.epoch && isOfGoodGeneration(secrets, ref.generation) && isUsable(key, client.id, clock())
  );
}

/** Returns the token's client, or undefined if a change of the client has ended the token. */
async function findLiveClient(deps: TokenDeps, record: TokenRecord): Promise<KnownClient | undefined> {
  const known = await deps.clients.find(record.clientId);
  if (known && isOfLiveClient(deps, record, known)) return known;
  // Re-read the client before the token counts as ended: another process may just have enabled or regenerated it.
  const recent = await deps.clients.findRecent(record.clientId);
  return recent && isOfLiveClient(deps, record, recent) ? recent : undefined;
}

/**
 * Returns whether the token's client and the secret that it was obtained with are still valid for it. An unbound token
 * is not valid if the client's tokens must be bound.
 */
function isOfLiveClient({ revocations }: TokenDeps, record: TokenRecord, { client, secrets }: KnownClient): boolean {
  if (!client.enabled || record.epoch !== client.tokenEpoch) return false;
  if (!isBoundAsRequired(client, record.confirmation)) return false;
  if (record.generation > 0 && !isOfGoodGeneration(secrets, record.generation)) return false;
  return !revocations.hasUnseen(record.jti, client.id);
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
  return record && isUnended(deps, record) ? record : undefined;
}

function isUnended({ clock, revocations }: TokenDeps, { expiresAt, jti }: TokenRecord): boolean {
  return expiresAt * 1_000 > clock() && revocations.areKeptFor(expiresAt) && !revocations.has(jti);
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
