import { type AccessKey, isUsable, type KnownAccessKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { type Client, type KnownClient, parseScope } from '../clients/client.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import type { Secret } from '../credentials/secret.ts';
import { isBoundAsRequired, narrow, offeredBy, type TokenDeps } from './access-token.ts';
import { isJwtShaped, readJwtAccessToken } from './jwt-access-token.ts';
import type { AccessKeyRef, TokenRecord } from './token-store.ts';

/** What a live token is today, to the resource server that asks. */
export type LiveToken = { record: TokenRecord; scope: string; audience: string; accessKey: AccessKey | undefined };

/**
 * What the token is today to this resource server; undefined when it is anything but live there.
 * @param presented the access key that came with the request that the resource server serves, if it tells of one.
 * @throws {StoreUnavailable} when that cannot be known.
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
  // Only "yes" is told from memory, so that every "no" takes the same time.
  const near = deps.tokenStore.peek(token);
  return (await see(near && recallFound(deps, near))) ?? (await see(await findLiveToken(deps, token)));
}

/** What `examineToken` would say of a token with this record. */
export async function examineRecord(
  deps: TokenDeps,
  record: TokenRecord | undefined,
  server: Client,
): Promise<LiveToken | undefined> {
  const found = record && isUnended(deps, record) ? await findOwners(deps, record) : undefined;
  return found && seenBy(server, found);
}

/** The same from memory alone; undefined says nothing about the token. */
export function recallLiveToken(deps: TokenDeps, record: TokenRecord, server: Client): LiveToken | undefined {
  const found = recallFound(deps, record);
  return found && seenBy(server, found);
}

/** The same, of a token that is asked about again and again: the same object until anything changes that it follows from. */
export function recallSameToken(deps: TokenDeps, record: TokenRecord, server: Client): LiveToken | undefined {
  const found = recallFound(deps, record);
  if (!found) return undefined;
  const { client, key } = found;
  const before = seenBefore.get(record);
  // Caches hold another object as soon as it may have changed.
  if (before?.server === server && before.client === client && before.key === key) return before.live;
  const live = seenBy(server, found);
  if (live) seenBefore.set(record, { server, client, key, live });
  return live;
}

const seenBefore = new WeakMap<TokenRecord, Omit<FoundToken, 'record'> & { server: Client; live: LiveToken }>();

/** A token with what is known of its client and access key today. */
type FoundToken = { record: TokenRecord; client: Client; key: AccessKey | undefined };

/** What `findOwners` would find, from memory alone, of a token that has not ended. */
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
  const asked = record.scope === undefined ? client.scope : parseScope(record.scope);
  const granted = asked.filter((item) => client.scope.includes(item));
  const scope = offeredBy(server, narrow(narrow(granted, key), presentedKey));
  // A token without any scope says who calls and nothing else: that is meant for every resource server.
  if (scope.length === 0 && record.scope !== '') return undefined;
  return { record, scope: scope.join(' '), audience: server.resource ?? '', accessKey: key ?? presentedKey };
}

/** A token that is alive, whatever resource server it is for; with its client, and the access key that it was obtained with. */
export async function findLiveToken(deps: TokenDeps, token: string): Promise<FoundToken | undefined> {
  const record = await findToken(deps, token);
  return record && (await findOwners(deps, record));
}

/** Undefined: something that was done to its client or its access key has ended the token. */
async function findOwners(deps: TokenDeps, record: TokenRecord): Promise<FoundToken | undefined> {
  const known = await findLiveClient(deps, record);
  if (!known) return undefined;
  const key = record.accessKey && (await findLiveKey(deps, record.accessKey, known.client));
  if (record.accessKey && !key) return undefined;
  return { record, client: known.client, key };
}

/** The access key that a token was obtained with, if it is still good for the token's client. */
async function findLiveKey(deps: TokenDeps, ref: AccessKeyRef, client: Client): Promise<AccessKey | undefined> {
  const known = await deps.accessKeys.find(ref.id);
  if (known && isOfLiveKey(deps, ref, client, known)) return known.key;
  // Look again before the token counts as ended: another process may just have enabled or regenerated the key.
  const recent = await deps.accessKeys.findRecent(ref.id);
  return recent && isOfLiveKey(deps, ref, client, recent) ? recent.key : undefined;
}

/** The same of its access key. */
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

/** Returns the token's client, or undefined if something that was done to it has ended the token. */
async function findLiveClient(deps: TokenDeps, record: TokenRecord): Promise<KnownClient | undefined> {
  const known = await deps.clients.find(record.clientId);
  if (known && isOfLiveClient(deps, record, known)) return known;
  // Look again before the token counts as ended: another process may just have enabled or regenerated the client.
  const recent = await deps.clients.findRecent(record.clientId);
  return recent && isOfLiveClient(deps, record, recent) ? recent : undefined;
}

/**
 * Returns whether a token is still good as far as its client and the secret it was obtained with are concerned. An
 * unbound token of a client whose tokens must be bound is not.
 */
function isOfLiveClient({ revocations }: TokenDeps, record: TokenRecord, { client, secrets }: KnownClient): boolean {
  if (!client.enabled || record.epoch !== client.tokenEpoch) return false;
  if (!isBoundAsRequired(client, record.confirmation)) return false;
  if (record.generation > 0 && !isOfGoodGeneration(secrets, record.generation)) return false;
  return !revocations.hasUnseen(record.jti, client.id);
}

/** Whether the secret that the token was obtained with was not undone. It may have ended: that ends no token. */
function isOfGoodGeneration(secrets: readonly Secret[], generation: number): boolean {
  const secret = secrets.find((candidate) => candidate.generation === generation);
  return secret !== undefined && secret.endedAs !== 'undone';
}

/** The record of a token that was issued, has not ended and was not revoked itself; its client's state is not looked at. */
export async function findToken(deps: TokenDeps, token: string): Promise<TokenRecord | undefined> {
  const record = await readToken(deps, token);
  return record && isUnended(deps, record) ? record : undefined;
}

function isUnended({ clock, revocations }: TokenDeps, { expiresAt, jti }: TokenRecord): boolean {
  return expiresAt * 1_000 > clock() && revocations.areKeptFor(expiresAt) && !revocations.has(jti);
}

/** The record of a token that was issued, whether or not it has ended. */
export async function readToken(deps: TokenDeps, token: string): Promise<TokenRecord | undefined> {
  if (isWellFormedSecret(token, 'kta_')) return await deps.tokenStore.find(token);
  if (isJwtShaped(token)) return await readJwtAccessToken(deps, token);
  return undefined;
}
