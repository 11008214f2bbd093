import { randomBytes } from 'node:crypto';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { namedOrganization } from '../clients/ceiling.ts';
import { type Client, type KnownClient, parseScope } from '../clients/client.ts';
import { mergeClaims } from '../clients/custom-claims.ts';
import { offeredBy } from '../clients/offered-scopes.ts';
import { generateSecret } from '../credentials/credential-format.ts';
import { KeyturnError, RefusedByRule } from '../errors.ts';
import { findGrantable, refusedScope, requireOneMeaning } from './grantable-scope.ts';
import { privateClaims, signAccessToken } from './jwt-access-token.ts';
import type { SigningKey } from './signing-keys.ts';
import { type Confirmation, encodeAccessKeyRef, type TokenRecord } from './token-record.ts';
import type { TokenDeps } from './token-rules.ts';
import { tokenId } from './token-store.ts';

export type TokenRequest = {
  /** The requested scope (RFC 6749 §3.3), or undefined to request everything that the client may have. */
  scope?: string | undefined;
  /** The requested resource (RFC 8707 §2). */
  resource?: string | undefined;
  /** The generation of the client secret that was presented, or 0 without a secret. */
  generation: number;
  /** The access key that was presented, already found valid for the client. */
  accessKey?: PresentedAccessKey | undefined;
  /** The key or certificate whose possession the client proved, to bind the token to it. */
  confirmation?: Confirmation | undefined;
};

/**
 * A new access token. @property isStored whether the token store must store its record; a JWT contains its record
 * itself.
 */
export type IssuedToken = { accessToken: string; record: TokenRecord; scope: string; isStored: boolean };

/**
 * Issues an access token to an authenticated client, in the format that its resource server chose.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`.
 * @throws {StoreUnavailable}
 */
export async function issueAccessToken(
  deps: TokenDeps,
  { client }: KnownClient,
  clientId: string,
  request: TokenRequest,
): Promise<IssuedToken> {
  deps.feed.requireNotOld();
  const servers = await deps.clients.resourceServers();
  const signingKey = await deps.signingKeys.current();
  const issued = makeAccessToken(deps, client, clientId, request, { servers, signingKey });
  if (issued.isStored) await deps.tokenStore.save(issued.record, issued.record.issuedAt);
  return issued;
}

/**
 * Returns whether a change of its client has ended a token, as far as this process knows. Storing a record takes time,
 * in which it may have learned of the change. Also returns true if the client is not cached.
 */
export function isKnownToHaveEnded({ clients }: TokenDeps, { clientId = '', epoch }: TokenRecord): boolean {
  return clients.peek(clientId)?.client.tokenEpoch !== epoch;
}

/**
 * Makes an access token from cached data, without saving its record. Returns undefined if some of that data is not
 * cached.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`.
 */
export function makeAccessTokenNow(
  deps: TokenDeps,
  { client }: KnownClient,
  clientId: string,
  request: TokenRequest,
): IssuedToken | undefined {
  deps.feed.requireNotOld();
  const servers = deps.clients.peekResourceServers();
  const signingKey = deps.signingKeys.peekCurrent();
  return servers && signingKey && makeAccessToken(deps, client, clientId, request, { servers, signingKey });
}

/**
 * Makes an access token. It is valid once its record is saved, if its format needs that.
 * @param sources the resource servers and the signing key, from caches or from a transaction.
 * @throws {KeyturnError} `invalid_scope` or `invalid_target`.
 */
export function makeAccessToken(
  deps: Pick<TokenDeps, 'clock' | 'clockCheck' | 'ttlSeconds' | 'issuer' | 'previousVersionUntil'>,
  client: Client,
  clientId: string,
  request: TokenRequest,
  sources: { servers: readonly Client[]; signingKey: SigningKey },
): IssuedToken {
  deps.clockCheck.requireRight();
  const key = request.accessKey;
  const { named, grantable, isGrantable } = findGrantable(client, request, sources.servers);
  const asked = request.scope === undefined ? undefined : parseScope(request.scope);
  const isNothingLeft = key !== undefined && grantable.length === 0 && client.scope.length > 0;
  if (isNothingLeft || !(asked?.every(isGrantable) ?? true)) {
    const refused = (asked ?? client.scope).find((item) => !isGrantable(item)) ?? '';
    throw refusedScope(refused, client, { named, accessKey: key }, sources.servers);
  }
  const granted = asked ?? grantByDefault(client, grantable);
  if (!named) requireOneMeaning(granted, sources.servers);
  const scope = granted.join(' ');
  const server = named ?? onlyJwtServer(sources.servers, granted);
  const now = deps.clock();
  // Processes of the previous version know no versions of scopes, and read Keyturn's claims at the top of a JWT.
  const isForPreviousVersion = now <= deps.previousVersionUntil;
  const isScopeKept = asked !== undefined || client.defaultScope !== null || scope === '' || isForPreviousVersion;
  const issuedAt = Math.floor(now / 1_000);
  const lifetime = lifetimeFor(deps, client, granted, server, sources);
  const record: TokenRecord = {
    jti: '',
    clientId,
    epoch: client.tokenEpoch,
    generation: request.generation,
    issuedAt: now,
    expiresAt: issuedAt + (isForPreviousVersion ? Math.min(lifetime, deps.ttlSeconds) : lifetime),
    scope: isScopeKept ? scope : undefined,
    scopeVersions: isScopeKept
      ? undefined
      : {
          client: client.scopeVersion,
          accessKey: key?.key.scopeVersion ?? 0,
          resource: named?.scopeVersion ?? 0,
        },
    resource: server?.resource ?? undefined,
    accessKey: key && { id: key.key.id, epoch: key.key.tokenEpoch, generation: key.secret.generation },
    confirmation: request.confirmation,
  };
  if (server?.tokenFormat === 'jwt') {
    record.jti = randomBytes(16).toString('base64url');
    const own = {
      epoch: record.epoch,
      generation: record.generation,
      access_key: record.accessKey && encodeAccessKeyRef(record.accessKey),
    };
    const claims = {
      iss: deps.issuer,
      sub: clientId,
      client_id: clientId,
      aud: server.resource ?? '',
      iat: issuedAt,
      exp: record.expiresAt,
      jti: record.jti,
      scope,
      access_key_id: key?.key.id,
      contact_id: key?.key.contactId,
      organization_id: namedOrganization(client),
      cnf: request.confirmation,
      [privateClaims]: own,
      ...(isForPreviousVersion ? own : {}),
    };
    const custom = mergeClaims(server, client, key?.key);
    const accessToken = signAccessToken(
      sources.signingKey,
      server.tokenTyp ?? 'at+jwt',
      custom ? { ...custom, ...claims } : claims,
    );
    return { accessToken, record, scope, isStored: false };
  }
  const accessToken = generateSecret('kta_');
  record.jti = tokenId(accessToken);
  return { accessToken, record, scope, isStored: true };
}

/**
 * Returns what is granted if no scope is requested.
 * @throws {KeyturnError} `invalid_scope` if the client's default scope contains nothing that can be granted (RFC 6749
 * §3.3: a default value, or an error).
 */
function grantByDefault(client: Client, grantable: readonly string[]): readonly string[] {
  const granted = defaultGrant(client, grantable);
  if (granted.length === 0 && grantable.length > 0) {
    throw new KeyturnError(
      'invalid_scope',
      400,
      'scope: required, because no default scope of this client can be granted here.',
    );
  }
  return granted;
}

/** Returns the part of what can be granted that is granted if no scope is requested. */
export function defaultGrant({ defaultScope }: Client, grantable: readonly string[]): readonly string[] {
  return defaultScope ? grantable.filter((item) => defaultScope.includes(item)) : grantable;
}

/**
 * Returns the lifetime of a token in seconds: the shortest of its client and of each resource server that it is for, or
 * that of the deployment if none of them has one.
 */
export function lifetimeFor(
  { ttlSeconds }: Pick<TokenDeps, 'ttlSeconds'>,
  client: Pick<Client, 'tokenTtlSeconds'>,
  granted: readonly string[],
  server: Client | undefined,
  { servers, signingKey }: { servers: readonly Client[]; signingKey: SigningKey },
): number {
  let shortest = client.tokenTtlSeconds ?? Number.POSITIVE_INFINITY;
  for (const each of server ? [server] : servers) {
    if (each.tokenTtlSeconds === null || each.tokenTtlSeconds >= shortest) continue;
    // A token without scope is valid at every resource server.
    if (server || granted.length === 0 || offeredBy(each, granted).length > 0) shortest = each.tokenTtlSeconds;
  }
  if (shortest === Number.POSITIVE_INFINITY) return ttlSeconds;
  // No process may issue a longer token than the key announces, or others would take it for forged.
  return Math.min(shortest, Math.max(ttlSeconds, signingKey.tokenSeconds ?? 0));
}

/**
 * Returns the only resource server that the granted scopes are for, if it accepts JWTs.
 * @throws {KeyturnError} `invalid_target` if the scopes are for several and one of them accepts JWTs: a JWT has one
 * audience, so the request must name one (RFC 8707 §2).
 */
function onlyJwtServer(servers: readonly Client[], granted: readonly string[]): Client | undefined {
  if (!servers.some(({ tokenFormat }) => tokenFormat === 'jwt')) return undefined;
  const meant = servers.filter((server) => server.enabled && offeredBy(server, granted).length > 0);
  if (!meant.some(({ tokenFormat }) => tokenFormat === 'jwt')) return undefined;
  if (meant.length > 1) {
    throw new RefusedByRule(
      'invalid_target',
      'The requested scopes belong to several resources. Select one with `resource`.',
      { rule: 'several_resources', value: meant.map((server) => server.resource).join(' ') },
    );
  }
  return meant[0];
}
