import type { AccessToken } from './access-token.ts';
import type { ServerEvent } from './event-stream.ts';

/**
 * What the server's events have said of tokens that can be checked locally. A JWT that was issued before its client or access key
 * changed is no longer taken at its word: the server is asked about it.
 */
export type ChangeMemory = {
  apply(event: ServerEvent): void;
  /** Nothing that was issued before is taken at its word: events may have been missed. In seconds, by the server's clock. */
  distrustAll(before: number): void;
  isTrusted(token: AccessToken): boolean;
};

/** What concerns tokens that have ended meanwhile is forgotten: none lives longer than this. */
const keptSeconds = 86_400;
const maxRemembered = 100_000;
/** `iat` has whole seconds, and is from the clock of whichever of the server's processes issued the token. */
const clockSkewSeconds = 5;

export function createChangeMemory(): ChangeMemory {
  const changedAt = new Map<string, number>();
  let distrustedBefore = Number.POSITIVE_INFINITY;

  function remember(key: string, seconds: number): void {
    changedAt.delete(key);
    changedAt.set(key, seconds);
    for (const [oldest, at] of changedAt) {
      if (at > seconds - keptSeconds && changedAt.size <= maxRemembered) break;
      // Of what is forgotten too early nothing is known any more, so everything that old is asked about.
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

export type EventData = { jti?: unknown; client_id?: unknown; access_key_id?: unknown };

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
