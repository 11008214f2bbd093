import { type KnownAccessKey, refusalOfKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import type { Client, KnownClient } from '../clients/client.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import type { Secret } from '../credentials/secret.ts';
import { refusalOfNetwork } from '../http/allowed-networks.ts';
import { isJwtShaped, readJwtAccessToken } from './jwt-access-token.ts';
import { type FoundToken, type LiveToken, liveOnly, type RefusedToken, sameSeenBy, seenBy } from './seen-token.ts';
import type { SigningKey } from './signing-keys.ts';
import { judgeStandaloneKey, recallStandaloneKey } from './standalone-key.ts';
import { idsOf } from './token-chain.ts';
import type { AccessKeyRef, TokenRecord } from './token-record.ts';
import { isBoundAsRequired, type TokenDeps, type TokenRefusal } from './token-rules.ts';

/** The request that a resource server serves, as far as it tells. */
export type ServedRequest = {
  /** Reads the access key of the request, if the resource server forwards one. */
  presented?: ((client: Client) => Promise<PresentedAccessKey | undefined>) | undefined;
  /** The IP address that the request came from; undefined if it is not known. */
  address?: string | undefined;
};

/**
 * Returns what a token currently allows at this resource server, or why it is not live there.
 * @throws {StoreUnavailable} if that cannot be determined.
 */
export async function examineToken(
  deps: TokenDeps,
  token: string,
  server: Client,
  { presented, address }: ServedRequest = {},
): Promise<LiveToken | RefusedToken> {
  const see = async (found: FoundToken): Promise<LiveToken | RefusedToken> => {
    if (found.standalone && refusalOfNetwork(found.standalone.key, address))
      return { refusal: 'other_network', ...found };
    const presentedKey = found.client && (await presented?.(found.client));
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

/**
 * Returns the result of `recallLiveToken` as the same object until the token's client, access key or resource server
 * changes.
 */
export function recallSameToken(deps: TokenDeps, record: TokenRecord, server: Client): LiveToken | undefined {
  const found = recallFound(deps, record);
  return found && sameSeenBy(server, found);
}

/** Returns the result of `recallSameToken` for a stand-alone access key, used from this address. */
export function recallSameKey(
  deps: TokenDeps,
  value: string,
  server: Client,
  address: string | undefined,
): LiveToken | undefined {
  const found = recallStandaloneKey(deps, value);
  return found && !refusalOfNetwork(found.key, address) ? sameSeenBy(server, found) : undefined;
}

/** Returns the result of `judgeRecord` from caches alone. Undefined does not mean that the token is not live. */
function recallFound(deps: TokenDeps, record: TokenRecord): FoundToken | undefined {
  if (endOf(deps, record) || record.chain?.some(({ actor }) => !deps.clients.peek(actor)?.client.enabled))
    return undefined;
  const known = record.clientId === undefined ? undefined : deps.clients.peek(record.clientId);
  if (record.clientId !== undefined && (!known || refusalByClient(deps, record, known))) return undefined;
  const client = known?.client;
  if (!record.accessKey) return { record, client };
  const knownKey = deps.accessKeys.peek(record.accessKey.id);
  if (!knownKey || refusalByKey(deps, record.accessKey, client, knownKey)) return undefined;
  return { record, client, key: knownKey.key };
}

/** Returns a live token for any resource server, with its client and the access key that it was obtained with. */
export async function findLiveToken(deps: TokenDeps, token: string): Promise<FoundToken | undefined> {
  const found = await judgeToken(deps, token);
  return 'refusal' in found ? undefined : found;
}

/** Returns the result of `findLiveToken`, or why the token is live at no resource server. */
export async function judgeToken(deps: TokenDeps, token: string): Promise<FoundToken | RefusedToken> {
  if (isWellFormedSecret(token, 'ktk_')) return await judgeStandaloneKey(deps, token);
  return await judgeRecord(deps, await readToken(deps, token));
}

async function judgeRecord(deps: TokenDeps, record: TokenRecord | undefined): Promise<FoundToken | RefusedToken> {
  if (!record) return { refusal: 'unknown_token' };
  const ended = endOf(deps, record) ?? (await refusalByActor(deps, record));
  if (ended) return { refusal: ended, record };
  const known = record.clientId === undefined ? undefined : await findClientOf(deps, record, record.clientId);
  if (typeof known === 'string') return { refusal: known, record };
  const client = known?.client;
  const refusal = known && refusalByClient(deps, record, known);
  if (refusal) return { refusal, record, client };
  if (!record.accessKey) return { record, client };
  const knownKey = await findKeyOf(deps, record.accessKey, client);
  if (!knownKey) return { refusal: 'removed_access_key', record, client };
  const keyRefusal = refusalByKey(deps, record.accessKey, client, knownKey);
  return keyRefusal
    ? { refusal: keyRefusal, record, client, key: knownKey.key }
    : { record, client, key: knownKey.key };
}

/** Returns whether an API that exchanged the token is disabled or deleted, which ends it. */
async function refusalByActor({ clients }: TokenDeps, { chain = [] }: TokenRecord): Promise<TokenRefusal | undefined> {
  for (const { actor } of chain) {
    if (!((await clients.find(actor)) ?? (await clients.findRecent(actor)))?.client.enabled) return 'actor_disabled';
  }
  return undefined;
}

/** Returns the access key that a token was obtained with. Re-reads it if the cached one would end the token. */
async function findKeyOf(
  deps: TokenDeps,
  ref: AccessKeyRef,
  client: Client | undefined,
): Promise<KnownAccessKey | undefined> {
  const known = await deps.accessKeys.find(ref.id);
  if (known && !refusalByKey(deps, ref, client, known)) return known;
  // Re-read the key before the token counts as ended: another process may just have enabled or regenerated it.
  return await deps.accessKeys.findRecent(ref.id);
}

/** Returns why the access key that a token was obtained with ends it, or undefined if it does not. */
function refusalByKey(
  { clock, standaloneKeys }: TokenDeps,
  ref: AccessKeyRef,
  client: Client | undefined,
  { key, secrets }: KnownAccessKey,
): TokenRefusal | undefined {
  if (key.tokenEpoch !== ref.epoch) return 'access_key_tokens_revoked';
  if (!isOfGoodGeneration(secrets, ref.generation)) return 'undone_access_key_value';
  if (!client && !standaloneKeys) return 'not_standalone';
  return refusalOfKey(key, client?.id, clock());
}

/** Returns the client of a token. Re-reads it if the cached one would end the token. */
async function findClientOf(
  deps: TokenDeps,
  record: TokenRecord,
  clientId: string,
): Promise<KnownClient | 'deleted_client'> {
  const known = await deps.clients.find(clientId);
  if (known && !refusalByClient(deps, record, known)) return known;
  // Re-read the client before the token counts as ended: another process may just have enabled or regenerated it.
  return (await deps.clients.findRecent(clientId)) ?? 'deleted_client';
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
  return idsOf(record).some((jti) => revocations.hasUnseen(jti, client.id)) ? 'revoked_token' : undefined;
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
function endOf({ clock, revocations }: TokenDeps, { expiresAt, jti, chain }: TokenRecord): TokenRefusal | undefined {
  if (expiresAt * 1_000 <= clock() || !revocations.areKeptFor(expiresAt)) return 'expired_token';
  // An exchanged token ends together with the one that it was exchanged from.
  return revocations.has(jti) || chain?.some(({ parent }) => revocations.has(parent)) ? 'revoked_token' : undefined;
}

/** Returns the record of an issued token, even if the token has expired or was revoked. */
export async function readToken(deps: TokenDeps, token: string): Promise<TokenRecord | undefined> {
  if (isWellFormedSecret(token, 'kta_')) return await deps.tokenStore.find(token);
  if (!isJwtShaped(token)) return undefined;
  const keys = await deps.signingKeys.all();
  const record = readJwtAccessToken(deps, keys, token);
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
