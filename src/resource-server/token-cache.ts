import type { AccessToken } from './access-token.ts';
import type { ServerEvent } from './event-stream.ts';

/** Cached introspection answers. Bounded: the least recently used is evicted first. */
type TokenCache = {
  /**
   * Returns an answer that may be used. With `staleMs`, also one that is older by up to that time, to use while the
   * server is unreachable.
   */
  get(key: string, staleMs?: number): AccessToken | undefined;
  /** @param at the time at which the answer was known to be right. */
  set(key: string, token: AccessToken, at: Moment): void;
  /** Removes all answers about a token, client or access key that was revoked or changed. */
  forget(event: EventData): void;
  clear(): void;
  readonly size: number;
};

type Entry = { token: AccessToken; storedAt: Moment };

/**
 * @param maxAgeMs returns how long an answer is used; short without events, because then nothing reports revocations.
 */
export function createTokenCache(maxEntries: number, maxAgeMs: () => number): TokenCache {
  const entries = new Map<string, Entry>();
  return {
    get: (key, staleMs = 0) => {
      const entry = entries.get(key);
      if (!entry) return undefined;
      // Never use an answer beyond the token's own expiry.
      if (entry.token.expiresAt * 1_000 <= Date.now()) {
        entries.delete(key);
        return undefined;
      }
      if (ageOf(entry.storedAt) > maxAgeMs() + staleMs) return undefined;
      entries.delete(key);
      entries.set(key, entry);
      return entry.token;
    },
    set: (key, token, at) => {
      entries.delete(key);
      entries.set(key, { token, storedAt: at });
      if (entries.size > maxEntries) entries.delete(entries.keys().next().value as string);
    },
    forget: ({ jti, client_id, access_key_id }) => {
      for (const [key, { token }] of entries) {
        const concerned =
          (jti !== undefined && (token.jti === jti || isParent(token, jti))) ||
          (client_id !== undefined && token.clientId === client_id) ||
          (access_key_id !== undefined && token.accessKeyId === access_key_id);
        if (concerned) entries.delete(key);
      }
    },
    clear: () => entries.clear(),
    get size() {
      return entries.size;
    },
  };
}

/** Returns whether a token was exchanged from another one, with which it ends. */
function isParent({ claims }: AccessToken, jti: unknown): boolean {
  const parents = claims['parent_jtis'];
  return Array.isArray(parents) && parents.includes(jti);
}

/**
 * Changes reported by the server's events, for tokens that are verified locally. A JWT that was issued before a change
 * of its client or access key is not trusted any more and must be introspected.
 */
type ChangeMemory = {
  apply(event: ServerEvent): void;
  /**
   * Distrusts every token issued before a time (seconds, by the server's clock), because events may have been missed.
   */
  distrustAll(before: number): void;
  isTrusted(token: AccessToken): boolean;
};

/** Maximum age of kept changes, because no token lives longer. */
const keptSeconds = 86_400;
const maxRemembered = 100_000;
/** Allows for `iat` in whole seconds, and for the clocks of the server's processes. */
const clockSkewSeconds = 5;

export function createChangeMemory(): ChangeMemory {
  const changedAt = new Map<string, number>();
  let distrustedBefore = Number.POSITIVE_INFINITY;

  function remember(key: string, seconds: number): void {
    changedAt.delete(key);
    changedAt.set(key, seconds);
    for (const [oldest, at] of changedAt) {
      if (at > seconds - keptSeconds && changedAt.size <= maxRemembered) break;
      // When a change is dropped early, distrust all tokens from before it.
      if (at > seconds - keptSeconds) distrustedBefore = Math.max(distrustedBefore, at);
      changedAt.delete(oldest);
    }
  }

  return {
    apply: ({ event, data, at }) => {
      const seconds = at + clockSkewSeconds;
      if (event === 'reset') distrustedBefore = seconds;
      else for (const key of keysOf(parseEventData(data))) remember(key, seconds);
    },
    distrustAll: (before) => {
      distrustedBefore = before + clockSkewSeconds;
    },
    isTrusted: (token) =>
      token.issuedAt > distrustedBefore &&
      keysOf({ jti: token.jti, client_id: token.clientId, access_key_id: token.accessKeyId }).every(
        (key) => token.issuedAt > (changedAt.get(key) ?? Number.NEGATIVE_INFINITY),
      ),
  };
}

type EventData = { jti?: unknown; client_id?: unknown; access_key_id?: unknown; kid?: unknown };

export function parseEventData(data: string): EventData {
  try {
    return JSON.parse(data) as EventData;
  } catch {
    return {};
  }
}

function keysOf(data: EventData): string[] {
  return (['jti', 'client_id', 'access_key_id'] as const)
    .filter((name) => typeof data[name] === 'string')
    .map((name) => `${name} ${data[name]}`);
}

/** A point in time by the wall clock and by a clock that does not jump, both in milliseconds. */
export type Moment = { wall: number; steady: number };

export function currentMoment(): Moment {
  return { wall: Date.now(), steady: performance.now() };
}

/**
 * Returns the milliseconds since a moment, by the clock that shows more, so that setting the wall clock back does not
 * make it younger.
 */
export function ageOf({ wall, steady }: Moment): number {
  return Math.max(Date.now() - wall, performance.now() - steady);
}
