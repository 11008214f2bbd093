import { createHash } from 'node:crypto';
import { createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose';
import { type AccessToken, toAccessToken } from './access-token.ts';
import { AccessTokenError } from './access-token-error.ts';
import { createChangeMemory, parseEventData } from './change-memory.ts';
import { followEvents, type ServerEvent } from './event-stream.ts';
import { IntrospectionUnavailable, introspect } from './introspection.ts';
import { createTokenCache } from './token-cache.ts';

export type VerifierOptions = {
  /** The authorization server's issuer identifier. */
  issuer: string;
  /** This resource server's identifier, as registered (RFC 8707). */
  resource: string;
  clientId: string;
  clientSecret: string;
  /** While the authorization server cannot be reached: refuse with 503 (`closed`, the default), or `staleSeconds`. */
  failure?: 'closed' | { staleSeconds: number };
  /** How many answers are kept at most. Default 10,000. */
  maxCachedTokens?: number;
  /** Whether to follow the server's events, which end what is cached at once. Without them an answer serves for 10 s. Default true. */
  events?: boolean;
  /** Until an introspection must be answered, in milliseconds. Default 2,000. */
  timeoutMs?: number;
  /** Signature algorithms that are accepted in JWTs. */
  algorithms?: readonly string[];
  fetch?: typeof globalThis.fetch;
};

export type VerifyOptions = {
  /** The access key that came with this request, if yours take one. */
  accessKey?: string | undefined;
  /** What this request needs: one scope, or all of several. */
  scope?: string | readonly string[] | undefined;
};

/** Anything that has the headers of a request: a fetch `Request`, or one of Node's. */
export type RequestLike = { headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>> };

export type AccessTokenVerifier = {
  /**
   * The live access token of a request, or the token itself.
   * @throws {AccessTokenError} that says how to answer: 400, 401, 403 or 503.
   */
  verify(requestOrToken: RequestLike | string, options?: VerifyOptions): Promise<AccessToken>;
  /** This resource server's metadata document (RFC 9728 §2). */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Stops following events. */
  close(): void;
};

const defaultAlgorithms = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256'];
/** Events tell of every end, so the age only bounds what a lost one could do. */
const maxAgeWithEventsMs = 60_000;
const maxAgeWithoutEventsMs = 10_000;

/** Validates the access tokens of requests to one resource server, locally where it can. */
export function createAccessTokenVerifier(options: VerifierOptions): AccessTokenVerifier {
  const issuer = options.issuer.replace(/\/$/, '');
  const fetch = options.fetch ?? globalThis.fetch;
  const { failure = 'closed' } = options;
  const staleMs = failure === 'closed' ? 0 : failure.staleSeconds * 1_000;
  const asked = {
    issuer,
    clientId: options.clientId,
    clientSecret: options.clientSecret,
    fetch,
    timeoutMs: options.timeoutMs ?? 2_000,
  };
  const resourceMetadata = metadataUrl(options.resource);
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
    cooldownDuration: 1_000,
    [customFetch]: (url, init) => fetch(url, init as RequestInit),
  });
  const algorithms = [...(options.algorithms ?? defaultAlgorithms)];
  let following = false;
  const cache = createTokenCache(options.maxCachedTokens ?? 10_000, () =>
    following ? maxAgeWithEventsMs : maxAgeWithoutEventsMs,
  );
  const changes = createChangeMemory();
  const underWay = new Map<string, Promise<AccessToken | undefined>>();
  /** Raised by every event: an answer that was asked for before it may be older than it, and is not kept. */
  let eventCount = 0;
  const followsEvents = options.events !== false;
  const stream = followsEvents
    ? followEvents({ ...asked, onEvent: applyEvent, onConnection: setFollowing })
    : undefined;

  function applyEvent(event: ServerEvent): void {
    eventCount += 1;
    changes.apply(event, Date.now());
    if (event.event === 'reset') cache.clear();
    else cache.forget(parseEventData(event.data));
  }

  function setFollowing(connected: boolean): void {
    // The first connection tells nothing of what was before it. A later one resumes, or says `reset`.
    if (connected && eventCount === 0) changes.distrustAll(Date.now());
    following = connected;
  }

  /** One question per token and access key, however many requests wait for it. */
  function ask(key: string, token: string, accessKey: string | undefined): Promise<AccessToken | undefined> {
    const running = underWay.get(key);
    if (running) return running;
    const askedAt = eventCount;
    const question = introspect(asked, token, accessKey)
      .then((found) => {
        if (found && eventCount === askedAt) cache.set(key, found, Date.now());
        return found;
      })
      .finally(() => underWay.delete(key));
    underWay.set(key, question);
    return question;
  }

  async function examine(token: string, accessKey: string | undefined): Promise<AccessToken> {
    // Hashed, so that a heap dump of the cache holds no token that can be presented.
    const key = createHash('sha256')
      .update(`${token}\n${accessKey ?? ''}`)
      .digest('base64url');
    const cached = cache.get(key, Date.now());
    if (cached) return cached;
    try {
      const found = await ask(key, token, accessKey);
      if (found) return found;
    } catch (error) {
      if (!(error instanceof IntrospectionUnavailable)) throw error;
      const stale = staleMs > 0 ? cache.get(key, Date.now(), staleMs) : undefined;
      if (stale) return stale;
      throw new AccessTokenError('temporarily_unavailable', 'The token cannot be checked right now.', { cause: error });
    }
    throw invalidToken();
  }

  /** Checks a JWT access token (RFC 9068 §4) here, and asks about it where what is known of its client may have changed. */
  async function examineJwt(token: string): Promise<AccessToken> {
    const found = await verifyJwt(token);
    if (found && (!followsEvents || (following && changes.isTrusted(found)))) return found;
    return await examine(token, undefined);
  }

  /** Undefined when its key is not known here: a key that began to sign a moment ago is known to the server first. */
  async function verifyJwt(token: string): Promise<AccessToken | undefined> {
    try {
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience: options.resource,
        typ: 'at+jwt',
        algorithms,
        requiredClaims: ['exp', 'iat', 'client_id', 'jti'],
      });
      return toAccessToken(payload);
    } catch (error) {
      if (error instanceof errors.JWKSNoMatchingKey) return undefined;
      const isInvalid = error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout);
      if (isInvalid && error.code !== 'ERR_JOSE_GENERIC') throw invalidToken(error);
      throw new AccessTokenError('temporarily_unavailable', 'The signing keys cannot be read right now.', {
        cause: error,
      });
    }
  }

  function invalidToken(cause?: unknown): AccessTokenError {
    return new AccessTokenError('invalid_token', 'The access token is not valid here.', { resourceMetadata, cause });
  }

  return {
    async verify(requestOrToken, { accessKey, scope = [] } = {}) {
      const token = typeof requestOrToken === 'string' ? requestOrToken : readBearer(requestOrToken, resourceMetadata);
      // A JWT is checked here; with an access key its scope is narrowed by the server alone, so that one is asked about.
      const isJwt = token.split('.').length === 3 && accessKey === undefined;
      const found = isJwt ? await examineJwt(token) : await examine(token, accessKey);
      // Bound to a key (RFC 7800 §3.1), which nobody has proven here to have: as a bearer token it is good for nothing (RFC 9449 §7.1).
      if (found.claims['cnf'] !== undefined) throw invalidToken();
      const lacking = [scope].flat().filter((item) => !found.scope.includes(item));
      if (lacking.length > 0) {
        throw new AccessTokenError('insufficient_scope', 'The access token does not allow this.', {
          scope: [scope].flat(),
          resourceMetadata,
        });
      }
      return found;
    },
    metadata: {
      resource: options.resource,
      authorization_servers: [issuer],
      bearer_methods_supported: ['header'],
    },
    close: () => stream?.close(),
  };
}

/** `Authorization: Bearer …` (RFC 6750 §2.1), exactly once. */
function readBearer({ headers }: RequestLike, resourceMetadata: string): string {
  const value = headers instanceof Headers ? headers.get('authorization') : headers['authorization'];
  if (value === undefined || value === null || value === '') {
    throw new AccessTokenError('missing_token', 'An access token is required.', { resourceMetadata });
  }
  const [, token] = (typeof value === 'string' && /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i.exec(value)) || [];
  if (!token)
    throw new AccessTokenError('invalid_request', 'The Authorization header is not a bearer token.', {
      resourceMetadata,
    });
  return token;
}

/** RFC 9728 §3.1: the well-known part goes between the host and the path. */
function metadataUrl(resource: string): string {
  const { origin, pathname } = new URL(resource);
  return `${origin}/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}`;
}
