import type { AccessToken } from './access-token.ts';
import type { EventData } from './change-memory.ts';
import { ageOf, type Moment } from './moment.ts';

/** Cached introspection answers. Bounded: the least recently used is evicted first. */
export type TokenCache = {
  /**
   * Returns an answer that may be used. With `staleMs`, also one that is older by up to that time, to use while the
   * server is unreachable.
   */
  get(key: string, staleMs?: number): AccessToken | undefined;
  /** @param at the time at which the answer was known to be right. */
  set(key: string, token: AccessToken, at: Moment): void;
  /** Removes all answers about a token, client or access key that was revoked or changed. */
  forget(what: EventData): void;
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
          (jti !== undefined && token.jti === jti) ||
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
