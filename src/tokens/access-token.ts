import { hash, randomBytes } from 'node:crypto';
import { type AccessKey, isUsable, type KnownAccessKey } from '../access-keys/access-key.ts';
import type { AccessKeyCache, PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { type Client, type KnownClient, offeredScopes, parseScope, requireGranted } from '../clients/client.ts';
import type { ClientCache } from '../clients/client-cache.ts';
import type { Clock } from '../clock.ts';
import { generateSecret, isWellFormedSecret } from '../credentials/credential-format.ts';
import type { Secret } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import type { ChangeFeed } from '../storage/change-feed.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { isJwtShaped, readJwtAccessToken, signAccessToken } from './jwt-access-token.ts';
import type { NearTokenStore } from './near-token-store.ts';
import type { Revocations } from './revocation.ts';
import type { SigningKey, SigningKeys } from './signing-keys.ts';
import { type AccessKeyRef, type Confirmation, encodeAccessKeyRef, type TokenRecord } from './token-store.ts';

export type TokenDeps = {
  clients: ClientCache;
  accessKeys: AccessKeyCache;
  tokenStore: NearTokenStore;
  revocations: Revocations;
  feed: Pick<ChangeFeed, 'sync'>;
  clock: Clock;
  signingKeys: SigningKeys;
  issuer: string;
  ttlSeconds: number;
};

export type TokenRequest = {
  /** As sent (RFC 6749 §3.3); undefined: all that there is. */
  scope?: string | undefined;
  /** As sent (RFC 8707 §2). */
  resource?: string | undefined;
  /** The generation of the client secret that was presented; 0: none. */
  generation: number;
  /** The access key that was presented with it, already found good for the client. */
  accessKey?: PresentedAccessKey | undefined;
  /** What the client proved to have, for the token to be bound to it. */
  confirmation?: Confirmation | undefined;
};

/** @property isStored whether the token store must hold its record; a JWT carries all of it itself. */
export type IssuedToken = { accessToken: string; record: TokenRecord; scope: string; isStored: boolean };

/** What a live token is today, to the resource server that asks. */
export type LiveToken = { record: TokenRecord; scope: string; audience: string; accessKey: AccessKey | undefined };

/**
 * Issues an access token to an authenticated client, in the form that its resource server chose.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`, with nothing issued.
 * @throws {StoreUnavailable}
 */
export async function issueAccessToken(
  deps: TokenDeps,
  { client }: KnownClient,
  clientId: string,
  request: TokenRequest,
): Promise<IssuedToken> {
  const servers = await deps.clients.resourceServers();
  const signingKey = await deps.signingKeys.current();
  const issued = makeAccessToken(deps, client, clientId, request, { servers, signingKey });
  if (issued.isStored) await deps.tokenStore.save(issued.record, issued.record.issuedAt);
  return issued;
}

/**
 * The same token, made of what is known in memory; its record is still to be saved. Undefined: not all of that is in memory.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`.
 */
export function makeAccessTokenNow(
  deps: TokenDeps,
  { client }: KnownClient,
  clientId: string,
  request: TokenRequest,
): IssuedToken | undefined {
  const servers = deps.clients.peekResourceServers();
  const signingKey = deps.signingKeys.peekCurrent();
  return servers && signingKey && makeAccessToken(deps, client, clientId, request, { servers, signingKey });
}

/**
 * A token that works once its record is saved, where that has to be.
 * @param sources where resource servers and the signing key come from: what is cached, or a transaction.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`.
 */
export function makeAccessToken(
  deps: Pick<TokenDeps, 'clock' | 'ttlSeconds' | 'issuer'>,
  client: Client,
  clientId: string,
  request: TokenRequest,
  sources: { servers: readonly Client[]; signingKey: SigningKey },
): IssuedToken {
  const resource = request.resource ?? client.resource ?? undefined;
  const named = resource === undefined ? undefined : requireResourceServer(sources.servers, resource);
  const key = request.accessKey;
  const grantable = narrow(named ? offeredBy(named, client.scope) : client.scope, key?.key);
  const asked = request.scope === undefined ? undefined : parseScope(request.scope);
  if (asked) requireGranted(asked, grantable);
  if (key && grantable.length === 0) requireGranted(client.scope, grantable);
  const granted = asked ?? grantable;
  const scope = granted.join(' ');
  const server = named ?? onlyJwtServer(sources.servers, granted);
  const now = deps.clock();
  const issuedAt = Math.floor(now / 1_000);
  const record: TokenRecord = {
    jti: '',
    clientId,
    epoch: client.tokenEpoch,
    generation: request.generation,
    issuedAt: now,
    expiresAt: issuedAt + deps.ttlSeconds,
    scope: asked || scope === '' ? scope : undefined,
    resource: server?.resource ?? undefined,
    accessKey: key && { id: key.key.id, epoch: key.key.tokenEpoch, generation: key.secret.generation },
    confirmation: request.confirmation,
  };
  if (server?.tokenFormat === 'jwt') {
    record.jti = randomBytes(16).toString('base64url');
    const accessToken = signAccessToken(sources.signingKey, {
      iss: deps.issuer,
      sub: clientId,
      client_id: clientId,
      aud: server.resource ?? '',
      iat: issuedAt,
      exp: record.expiresAt,
      jti: record.jti,
      scope,
      epoch: record.epoch,
      generation: record.generation,
      access_key_id: key?.key.id,
      contact_id: key?.key.contactId,
      cnf: request.confirmation,
      access_key: record.accessKey && encodeAccessKeyRef(record.accessKey),
    });
    return { accessToken, record, scope, isStored: false };
  }
  const accessToken = generateSecret('kta_');
  record.jti = tokenId(accessToken);
  return { accessToken, record, scope, isStored: true };
}

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
  const near = deps.tokenStore.peek(tokenId(token));
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
  const known = await findClientOf(deps, record);
  if (!known || !isOfLiveClient(deps, record, known)) return undefined;
  const key = record.accessKey && (await findLiveKey(deps, record.accessKey, known.client));
  if (record.accessKey && !key) return undefined;
  return { record, client: known.client, key };
}

/** The access key that a token was obtained with, if it is still good for the token's client. */
async function findLiveKey(deps: TokenDeps, ref: AccessKeyRef, client: Client): Promise<AccessKey | undefined> {
  let known = await deps.accessKeys.find(ref.id);
  if (!known || known.key.tokenEpoch < ref.epoch || (known.secrets[0]?.generation ?? 0) < ref.generation) {
    await withDeadline(deps.feed.sync());
    known = await deps.accessKeys.find(ref.id);
  }
  return known && isOfLiveKey(deps, ref, client, known) ? known.key : undefined;
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

/** What of a scope an access key allows; all, where there is none. */
function narrow(scope: readonly string[], key: AccessKey | undefined): readonly string[] {
  return key ? scope.filter((item) => key.scope.includes(item)) : scope;
}

/** The token's client; read anew when the token shows that another process knows a later state of it than this one. */
async function findClientOf(deps: TokenDeps, record: TokenRecord): Promise<KnownClient | undefined> {
  const known = await deps.clients.find(record.clientId);
  const latest = known?.secrets[0]?.generation ?? 0;
  if (known && known.client.tokenEpoch >= record.epoch && latest >= record.generation) return known;
  await withDeadline(deps.feed.sync());
  return await deps.clients.find(record.clientId);
}

/** Whether nothing that was done to its client or to the secret that it was obtained with has ended the token. */
function isOfLiveClient({ revocations }: TokenDeps, record: TokenRecord, { client, secrets }: KnownClient): boolean {
  if (!client.enabled || record.epoch !== client.tokenEpoch) return false;
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
  return expiresAt * 1_000 > clock() && !revocations.has(jti);
}

async function readToken(deps: TokenDeps, token: string): Promise<TokenRecord | undefined> {
  if (isWellFormedSecret(token, 'kta_')) return await deps.tokenStore.find(tokenId(token));
  if (isJwtShaped(token)) return await readJwtAccessToken(deps.signingKeys, deps.issuer, token);
  return undefined;
}

/** The `jti` of an opaque token: its SHA-256, which says nothing about the token. */
export function tokenId(token: string): string {
  return hash('sha256', token, 'base64url');
}

function offeredBy(server: Client, scope: readonly string[]): string[] {
  const offered = offeredScopes(server.information);
  return scope.filter((item) => offered.includes(item));
}

/**
 * The one resource server that the granted scopes are for, if it wants JWTs.
 * @throws {KeyturnError} `invalid_target` when they are for several: a JWT has one audience, so one must be named (RFC 8707 §2).
 */
function onlyJwtServer(servers: readonly Client[], granted: readonly string[]): Client | undefined {
  if (!servers.some(({ tokenFormat }) => tokenFormat === 'jwt')) return undefined;
  const meant = servers.filter((server) => server.enabled && offeredBy(server, granted).length > 0);
  if (!meant.some(({ tokenFormat }) => tokenFormat === 'jwt')) return undefined;
  if (meant.length > 1) {
    throw new KeyturnError('invalid_target', 400, 'These scopes are for several resources; name one with `resource`.');
  }
  return meant[0];
}

function requireResourceServer(servers: readonly Client[], resource: string): Client {
  const server = servers.find((candidate) => candidate.resource === resource);
  if (!server?.enabled) throw new KeyturnError('invalid_target', 400, 'The resource is unknown.');
  return server;
}
