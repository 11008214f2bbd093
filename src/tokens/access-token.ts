import { hash } from 'node:crypto';
import { type Client, type KnownClient, offeredScopes, parseScope, requireGranted } from '../clients/client.ts';
import type { ClientCache } from '../clients/client-cache.ts';
import type { Clock } from '../clock.ts';
import { generateSecret, isWellFormedSecret } from '../credentials/credential-format.ts';
import { KeyturnError } from '../errors.ts';
import type { ChangeFeed } from '../storage/change-feed.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { Revocations } from './revocation.ts';
import type { TokenRecord, TokenStore } from './token-store.ts';

export type TokenDeps = {
  clients: ClientCache;
  tokenStore: TokenStore;
  revocations: Revocations;
  feed: Pick<ChangeFeed, 'sync'>;
  clock: Clock;
  ttlSeconds: number;
};

export type TokenRequest = {
  /** As sent (RFC 6749 §3.3); undefined: all that there is. */
  scope?: string | undefined;
  /** As sent (RFC 8707 §2). */
  resource?: string | undefined;
  /** The generation of the client secret that was presented; 0: none. */
  generation: number;
};

export type IssuedToken = { accessToken: string; record: TokenRecord; scope: string };

/** What a live token is today, to the resource server that asks. */
export type LiveToken = { record: TokenRecord; scope: string; audience: string };

/**
 * Issues an opaque access token to an authenticated client.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`, with nothing issued.
 * @throws {StoreUnavailable}
 */
export async function issueAccessToken(
  deps: TokenDeps,
  { client }: KnownClient,
  clientId: string,
  request: TokenRequest,
): Promise<IssuedToken> {
  const resource = request.resource ?? client.resource ?? undefined;
  const servers = resource === undefined ? [] : await deps.clients.resourceServers();
  const issued = makeAccessToken(deps, client, clientId, servers, request);
  await deps.tokenStore.save(issued.record, issued.record.issuedAt);
  return issued;
}

/**
 * A token that works once its record is saved.
 * @param servers the resource servers that there are; needed where a resource is named.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`.
 */
export function makeAccessToken(
  deps: Pick<TokenDeps, 'clock' | 'ttlSeconds'>,
  client: Client,
  clientId: string,
  servers: readonly Client[],
  request: TokenRequest,
): IssuedToken {
  const resource = request.resource ?? client.resource ?? undefined;
  const server = resource === undefined ? undefined : requireResourceServer(servers, resource);
  const grantable = server ? offeredBy(server, client.scope) : client.scope;
  const asked = request.scope === undefined ? undefined : parseScope(request.scope);
  if (asked) requireGranted(asked, grantable);
  const scope = (asked ?? grantable).join(' ');
  const now = deps.clock();
  const accessToken = generateSecret('kta_');
  const record: TokenRecord = {
    jti: tokenId(accessToken),
    clientId,
    epoch: client.tokenEpoch,
    generation: request.generation,
    issuedAt: now,
    expiresAt: Math.floor(now / 1_000) + deps.ttlSeconds,
    scope: asked || scope === '' ? scope : undefined,
    resource: server?.resource ?? undefined,
    accessKeyId: undefined,
  };
  return { accessToken, record, scope };
}

/**
 * What the token is today to this resource server; undefined when it is anything but live there.
 * @throws {StoreUnavailable} when that cannot be known.
 */
export async function examineToken(deps: TokenDeps, token: string, server: Client): Promise<LiveToken | undefined> {
  const record = await findToken(deps, token);
  if (!record) return undefined;
  const known = await findClientOf(deps, record);
  if (!known?.client.enabled || record.epoch !== known.client.tokenEpoch) return undefined;
  if (deps.revocations.hasUnseen(record.jti, known.client.id)) return undefined;
  if (record.resource !== undefined && record.resource !== server.resource) return undefined;
  const granted = record.scope === undefined ? known.client.scope : parseScope(record.scope);
  const scope = offeredBy(
    server,
    granted.filter((item) => known.client.scope.includes(item)),
  );
  // A token without any scope says who calls and nothing else: that is meant for every resource server.
  if (scope.length === 0 && record.scope !== '') return undefined;
  return { record, scope: scope.join(' '), audience: server.resource ?? '' };
}

/** The token's client; read anew when the token shows that another process knows a later state of it than this one. */
async function findClientOf(deps: TokenDeps, record: TokenRecord): Promise<KnownClient | undefined> {
  const known = await deps.clients.find(record.clientId);
  if (known && known.client.tokenEpoch >= record.epoch) return known;
  await withDeadline(deps.feed.sync());
  return await deps.clients.find(record.clientId);
}

/** The record of a token that was issued, has not ended and was not revoked itself; its client's state is not looked at. */
export async function findToken(deps: TokenDeps, token: string): Promise<TokenRecord | undefined> {
  if (!isWellFormedSecret(token, 'kta_')) return undefined;
  const record = await deps.tokenStore.find(tokenId(token));
  if (!record || record.expiresAt * 1_000 <= deps.clock() || deps.revocations.has(record.jti)) return undefined;
  return record;
}

/** The `jti` of an opaque token: its SHA-256, which says nothing about the token. */
export function tokenId(token: string): string {
  return hash('sha256', token, 'base64url');
}

function offeredBy(server: Client, scope: readonly string[]): string[] {
  const offered = offeredScopes(server.information);
  return scope.filter((item) => offered.includes(item));
}

function requireResourceServer(servers: readonly Client[], resource: string): Client {
  const server = servers.find((candidate) => candidate.resource === resource);
  if (!server?.enabled) throw new KeyturnError('invalid_target', 400, 'The resource is unknown.');
  return server;
}
