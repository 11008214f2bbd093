import { hash } from 'node:crypto';
import { type AccessToken, toAccessToken } from './access-token.ts';
import { basicAuthorization, followEvents, type ServerEvent } from './event-stream.ts';
import { createJwtReader } from './jwt-reader.ts';
import {
  ageOf,
  createChangeMemory,
  createTokenCache,
  currentMoment,
  type Moment,
  parseEventData,
} from './token-cache.ts';

type ExaminerOptions = IntrospectionOptions & {
  resource: string;
  /** Maximum time that a cached answer is used while the server is unreachable. */
  staleMs: number;
  maxCachedTokens: number;
  followsEvents: boolean;
  algorithms: readonly string[];
  /** Whether JWTs with `typ: JWT` are accepted too. */
  acceptTypJwt: boolean;
};

type TokenExaminer = {
  /**
   * Returns the token's current state, or undefined if it is not live here. Verifies a JWT locally and introspects any
   * other token.
   * @throws {IntrospectionUnavailable} if the state cannot be determined.
   */
  examine(token: string, context: RequestContext): Promise<AccessToken | undefined>;
  close(): void;
};

/** Maximum age with events. They report every revocation, so this only limits the effect of a lost event. */
const maxAgeWithEventsMs = 60_000;
const maxAgeWithoutEventsMs = 10_000;
/**
 * Maximum age while the event stream is interrupted, and time after the interruption in which older answers are still
 * used, so that a short one does not cause an introspection for each token.
 */
const interruptedMs = 1_000;

export function createTokenExaminer(options: ExaminerOptions): TokenExaminer {
  const { followsEvents, staleMs } = options;
  let following = false;
  /** The time up to which all events have been received. */
  let heardAt: Moment = { wall: Number.NEGATIVE_INFINITY, steady: Number.NEGATIVE_INFINITY };
  const jwts = createJwtReader(options);
  /** The time at which the event stream was interrupted. */
  let interruptedAt: Moment = heardAt;
  const cache = createTokenCache(options.maxCachedTokens, () => {
    if (!followsEvents) return maxAgeWithoutEventsMs;
    return following || ageOf(interruptedAt) <= interruptedMs ? maxAgeWithEventsMs : interruptedMs;
  });
  const changes = createChangeMemory();
  const underWay = new Map<string, Promise<AccessToken | undefined>>();
  /** Keys of access keys with a limit of requests. The server counts them, so each request is introspected. */
  const limited = new Set<string>();
  /** Counts events: an answer that was requested before an event may be outdated and is not cached. */
  let eventsSeen = 0;
  const stream = followsEvents
    ? followEvents({ ...options, onEvent, onConnected, onHeard, onDisconnected })
    : undefined;

  function onEvent(event: ServerEvent): void {
    eventsSeen += 1;
    changes.apply(event);
    const data = parseEventData(event.data);
    const isOfKeys = event.event === 'signing_keys' || event.event === 'revoked_signing_key';
    if (isOfKeys || event.event === 'reset') {
      jwts.keysChanged(typeof data.kid === 'string' ? data.kid : undefined);
      cache.clear();
    } else cache.forget(data);
  }

  function onConnected(resumed: boolean, at: number): void {
    following = true;
    if (resumed) return;
    eventsSeen += 1;
    changes.distrustAll(at);
    jwts.keysChanged();
    cache.clear();
  }

  function onHeard(): void {
    heardAt = currentMoment();
  }

  function onDisconnected(): void {
    if (following) interruptedAt = currentMoment();
    following = false;
  }

  /** Sends one introspection per token and context, shared by all requests that wait for it. */
  function ask(key: string, token: string, context: RequestContext): Promise<AccessToken | undefined> {
    if (limited.has(key)) return introspect(options, token, context);
    const running = underWay.get(key);
    if (running) return running;
    const eventsBefore = eventsSeen;
    const question = introspect(options, token, context)
      .then((found) => {
        if (found?.rateLimit) limited.add(key);
        else if (found && eventsSeen === eventsBefore) cache.set(key, found, currentMoment());
        if (limited.size > options.maxCachedTokens) limited.clear();
        return found;
      })
      .finally(() => underWay.delete(key));
    underWay.set(key, question);
    return question;
  }

  /** Returns the answer that may be used while the server is unreachable, if any. */
  function recallStale(key: string, read: AccessToken | undefined): AccessToken | undefined {
    if (staleMs === 0) return undefined;
    const isReadRecent = read && changes.isTrusted(read) && ageOf(heardAt) <= staleMs;
    return cache.get(key, staleMs) ?? (isReadRecent ? read : undefined);
  }

  return {
    examine: async (token, context) => {
      const { accessKey, address } = context;
      // Hash the key, so that a heap dump of the cache contains no usable token.
      const presented = accessKey === undefined && address === undefined ? [token] : [token, accessKey, address];
      const key = hash('sha256', presented.join('\n'), 'base64url');
      const cached = cache.get(key);
      if (cached) return cached;
      const eventsBefore = eventsSeen;
      const read = await jwts.read(token);
      if (read === 'invalid') return undefined;
      // Trust the JWT as long as no change is known. With an access key, only the server can compute the scope.
      if (read && accessKey === undefined && (!followsEvents || (following && changes.isTrusted(read)))) {
        // Date the entry back to the last event, because a JWT does not reflect later changes.
        if (eventsSeen === eventsBefore) cache.set(key, read, followsEvents ? heardAt : currentMoment());
        return read;
      }
      try {
        return await ask(key, token, context);
      } catch (error) {
        const stale =
          error instanceof IntrospectionUnavailable && recallStale(key, accessKey === undefined ? read : undefined);
        if (stale) return stale;
        throw error;
      }
    },
    close: () => stream?.close(),
  };
}

type IntrospectionOptions = {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** Time limit of an introspection in milliseconds. */
  timeoutMs: number;
  fetch: typeof globalThis.fetch;
};

/** The error if the server cannot be reached or gives an invalid answer, so that the token's state is unknown. */
export class IntrospectionUnavailable extends Error {}

/**
 * What the server needs to know of a request beside its token: the access key that came with it, and the IP address that
 * it came from.
 */
export type RequestContext = { accessKey: string | undefined; address: string | undefined };

/**
 * Introspects a token at the authorization server (RFC 7662).
 * @param context of the request, and the scopes that it used.
 * @returns undefined if the token is not active here.
 * @throws {IntrospectionUnavailable}
 */
export async function introspect(
  options: IntrospectionOptions,
  token: string,
  { accessKey, address, usedScope = [] }: RequestContext & { usedScope?: readonly string[] },
): Promise<AccessToken | undefined> {
  const body = new URLSearchParams({ token });
  if (accessKey !== undefined) body.set('access_key', accessKey);
  if (address !== undefined) body.set('client_address', address);
  if (usedScope.length > 0) body.set('used_scope', usedScope.join(' '));
  try {
    const response = await options.fetch(`${options.issuer}/oauth2/introspect`, {
      method: 'POST',
      headers: { authorization: basicAuthorization(options), accept: 'application/json' },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(options.timeoutMs),
    });
    if (!response.ok) throw new Error(`introspection answered ${response.status}`);
    const claims = (await response.json()) as Record<string, unknown>;
    if (claims['active'] === false) return undefined;
    if (claims['active'] !== true) throw new Error('introspection did not answer with `active`');
    return toAccessToken(claims);
  } catch (error) {
    throw new IntrospectionUnavailable((error as Error).message, { cause: error });
  }
}
