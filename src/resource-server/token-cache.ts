import type { AccessToken } from './access-token.ts';
import type { EventData } from './change-memory.ts';

/** What this process knows of tokens that it asked about. Bounded: the longest unused goes first. */
export type TokenCache = {
  /** The answer if it may still be used; `stale`: it may only be used because the server cannot be reached. */
  get(key: string, now: number, staleMs?: number): AccessToken | undefined;
  set(key: string, token: AccessToken, now: number): void;
  /** Forgets all that concerns an ended or changed token, client or access key. */
  forget(what: EventData): void;
  clear(): void;
  readonly size: number;
};

type Entry = { token: AccessToken; storedAt: number };

/** @param maxAgeMs how long an answer serves: short without events, which would otherwise tell of an end. */
export function createTokenCache(maxEntries: number, maxAgeMs: () => number): TokenCache {
  const entries = new Map<string, Entry>();
  return {
    get: (key, now, staleMs = 0) => {
      const entry = entries.get(key);
      if (!entry) return undefined;
      // Never beyond the token's own end, whatever else is allowed.
      if (entry.token.expiresAt * 1_000 <= now) {
        entries.delete(key);
        return undefined;
      }
      if (now - entry.storedAt > maxAgeMs() + staleMs) return undefined;
      entries.delete(key);
      entries.set(key, entry);
      return entry.token;
    },
    set: (key, token, now) => {
      entries.delete(key);
      entries.set(key, { token, storedAt: now });
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
