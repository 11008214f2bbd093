import { hash } from 'node:crypto';
import type { AccessToken } from './access-token.ts';
import { createChangeMemory, parseEventData } from './change-memory.ts';
import { followEvents, type ServerEvent } from './event-stream.ts';
import { type IntrospectionOptions, IntrospectionUnavailable, introspect } from './introspection.ts';
import { createJwtReader } from './jwt-reader.ts';
import { createTokenCache } from './token-cache.ts';

export type ExaminerOptions = IntrospectionOptions & {
  resource: string;
  /** How long what was known before serves while the server cannot be reached. */
  staleMs: number;
  maxCachedTokens: number;
  followsEvents: boolean;
  algorithms: readonly string[];
};

export type TokenExaminer = {
  /**
   * What a token is now; undefined when it is not live here. A JWT is read here, everything else is asked about.
   * @throws {IntrospectionUnavailable} when that cannot be known.
   */
  examine(token: string, accessKey: string | undefined): Promise<AccessToken | undefined>;
  close(): void;
};

/** Events tell of every end, so the age only bounds what a lost one could do. */
const maxAgeWithEventsMs = 60_000;
const maxAgeWithoutEventsMs = 10_000;

export function createTokenExaminer(options: ExaminerOptions): TokenExaminer {
  const { followsEvents, staleMs } = options;
  let following = false;
  /** Until when events told of everything. */
  let heardAt = Number.NEGATIVE_INFINITY;
  const readJwt = createJwtReader(options);
  const cache = createTokenCache(options.maxCachedTokens, () =>
    following ? maxAgeWithEventsMs : maxAgeWithoutEventsMs,
  );
  const changes = createChangeMemory();
  const underWay = new Map<string, Promise<AccessToken | undefined>>();
  /** Raised by everything that is told: what was found out before it may be older than it, and is not kept. */
  let told = 0;
  const stream = followsEvents
    ? followEvents({ ...options, onEvent, onConnected, onHeard, onDisconnected })
    : undefined;

  function onEvent(event: ServerEvent): void {
    told += 1;
    changes.apply(event);
    if (event.event === 'reset') cache.clear();
    else cache.forget(parseEventData(event.data));
  }

  function onConnected(resumed: boolean, at: number): void {
    following = true;
    if (resumed) return;
    told += 1;
    changes.distrustAll(at);
    cache.clear();
  }

  function onHeard(): void {
    heardAt = Date.now();
  }

  function onDisconnected(): void {
    following = false;
  }

  /** One question per token and access key, however many requests wait for it. */
  function ask(key: string, token: string, accessKey: string | undefined): Promise<AccessToken | undefined> {
    const running = underWay.get(key);
    if (running) return running;
    const toldBefore = told;
    const question = introspect(options, token, { accessKey })
      .then((found) => {
        if (found && told === toldBefore) cache.set(key, found, Date.now());
        return found;
      })
      .finally(() => underWay.delete(key));
    underWay.set(key, question);
    return question;
  }

  /** What serves while the server cannot be reached, if anything may. */
  function recallStale(key: string, read: AccessToken | undefined): AccessToken | undefined {
    if (staleMs === 0) return undefined;
    const now = Date.now();
    const isReadRecent = read && changes.isTrusted(read) && now - heardAt <= staleMs;
    return cache.get(key, now, staleMs) ?? (isReadRecent ? read : undefined);
  }

  return {
    examine: async (token, accessKey) => {
      // Hashed, so that a heap dump of the cache holds no token that can be presented.
      const key = hash('sha256', accessKey === undefined ? token : `${token}\n${accessKey}`, 'base64url');
      const cached = cache.get(key, Date.now());
      if (cached) return cached;
      const toldBefore = told;
      const read = await readJwt(token);
      if (read === 'invalid') return undefined;
      // Taken at its word as long as nothing is known to have changed. With an access key, the server alone can tell the scope.
      if (read && accessKey === undefined && (!followsEvents || (following && changes.isTrusted(read)))) {
        // A JWT says nothing of today: with the events it is as good as they are.
        if (told === toldBefore) cache.set(key, read, followsEvents ? heardAt : Date.now());
        return read;
      }
      try {
        return await ask(key, token, accessKey);
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
