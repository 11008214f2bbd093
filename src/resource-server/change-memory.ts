import type { AccessToken } from './access-token.ts';
import type { ServerEvent } from './event-stream.ts';

/**
 * Changes reported by the server's events, for tokens that are verified locally. A JWT that was issued before a change
 * of its client or access key is not trusted any more and must be introspected.
 */
export type ChangeMemory = {
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

export type EventData = { jti?: unknown; client_id?: unknown; access_key_id?: unknown; kid?: unknown };

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
