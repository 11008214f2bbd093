import { isIP } from 'node:net';
import type { Clock } from '../process/clock.ts';
import type { Queryable } from '../storage/database.ts';
import { nameOfSource, otherSources, presentPlace, type SourceName, type UsageSource } from '../usage/usage-source.ts';

/** Why a source counts as moved to the new credential, or why it does not. */
export const moveReasons = [
  'moved',
  'marked_as_moved',
  'never_seen_with_new',
  'used_previous_recently',
  'silent_less_than_usual',
  'holds_previous_tokens',
  'awaits_renewals',
  'address_unreadable',
  'merged_sources',
] as const;

type MoveReason = (typeof moveReasons)[number];

/** A source of the previous credential, with the evidence that it has moved to the new one. */
export type JudgedSource = UsageSource & {
  reason: MoveReason;
  /**
   * When the source counts as moved if it does not use the previous credential until then; in the past if it has moved.
   * Null if no time alone makes it count.
   */
  countsAsMovedAt: Date | null;
  /** How long in milliseconds it must not use the previous credential to count as moved. */
  silenceMs: number;
  /** How many more tokens it must obtain with the new credential to count as moved. */
  renewalsAwaited: number;
  /** The mark of an operator, also if the source has used the previous credential since; null if there is none. */
  mark: MarkedSource | null;
};

/** A source that an operator has declared to have moved, or not to come back. */
export type MarkedSource = SourceName & { at: Date; by: string };

/** Times compared with each other come from several processes and are rounded to a minute. */
export const marginMs = 60_000;

/**
 * Decides which sources of the previous credential have moved to the new one, and why. Everything that is shown, and
 * the early end of a grace period, follow from this rule alone.
 *
 * A source has moved if it was seen with the new credential, and has not used the previous one for a token lifetime
 * plus a minute and for at least its longest gap between two uses. Several programs can share an address and a user
 * agent, so a use of the new credential does not mean that all of them have moved; one that still has the previous
 * credential would have used it again within that time. For the same reason, as many renewals are awaited as a source held
 * tokens at a time, for at most twice that time, and no token that it obtained with the previous one may be live,
 * which matters if lifetimes were shortened. A source that was never seen with the new credential has not
 * moved, however long it has been silent, unless an operator has marked it and it has not used the previous one since.
 * @param old the sources of the previous credential.
 * @param usingNew the sources of the new credential; empty before a rotation.
 */
export function judgeSources({
  old,
  usingNew,
  marked,
  tokenLifetimeMs,
  now,
}: {
  old: readonly UsageSource[];
  usingNew: readonly UsageSource[];
  marked: readonly MarkedSource[];
  tokenLifetimeMs: number;
  now: number;
}): { moved: JudgedSource[]; stillUsingOld: JudgedSource[] } {
  const seenWithNew = new Map(usingNew.map((source) => [nameOfSource(source), source]));
  const marks = new Map(marked.map((source) => [nameOfSource(source), source]));
  const judged = old.map((source) => judge(source));
  return { moved: judged.filter(hasMoved), stillUsingOld: judged.filter((source) => !hasMoved(source)) };

  function judge(source: UsageSource): JudgedSource {
    const lastUsedAt = Number(source.lastUsedAt);
    const silenceMs = Math.max(tokenLifetimeMs + marginMs, source.longestGapMs);
    const withNew = seenWithNew.get(nameOfSource(source));
    const missing = Math.max(0, source.heldTokens - (withNew?.obtainedTokens ?? 0));
    // A program that requests no tokens, such as a resource server, only has to be seen.
    const renewalsAwaited = withNew && source.heldTokens <= 1 ? 0 : Math.max(withNew ? 0 : 1, missing);
    const mark = marks.get(nameOfSource(source));
    const verdict = (reason: MoveReason, at: Date | number | null): JudgedSource => ({
      ...source,
      reason,
      countsAsMovedAt: typeof at === 'number' ? new Date(at) : at,
      silenceMs,
      renewalsAwaited: reason === 'marked_as_moved' ? 0 : renewalsAwaited,
      mark: mark ?? null,
    });
    // Without an IP address, the source stands for several callers that cannot be told apart.
    if (!isOneCaller(source)) {
      return verdict(source.address === otherSources ? 'merged_sources' : 'address_unreadable', null);
    }
    if (mark && lastUsedAt <= mark.at.getTime()) return verdict('marked_as_moved', mark.at);
    if (!withNew) return verdict('never_seen_with_new', null);
    const silentAt = lastUsedAt + silenceMs;
    const at = Math.max(silentAt, Number(withNew.firstUsedAt), Number(source.tokensUntil));
    // Holders of tokens that were not renewed get the same time once more.
    const movesAt = renewalsAwaited > 0 ? Math.max(at, silentAt + silenceMs) : at;
    if (now < silentAt) {
      const isTokenGone = now - lastUsedAt >= tokenLifetimeMs + marginMs;
      return verdict(isTokenGone ? 'silent_less_than_usual' : 'used_previous_recently', movesAt);
    }
    if (source.liveTokens > 0) return verdict('holds_previous_tokens', movesAt);
    return verdict(now < movesAt ? 'awaits_renewals' : 'moved', movesAt);
  }
}

/** Judges the sources of a current credential, when none of them can have moved. */
export async function judgeBeforeRotation(
  database: Queryable,
  { clock, ttlSeconds }: { clock: Clock; ttlSeconds: number },
  sources: readonly UsageSource[],
): Promise<JudgedSource[]> {
  const tokenLifetimeMs = await findLongestLifetimeMs(database, ttlSeconds);
  const before = { usingNew: [], marked: [] };
  return judgeSources({ old: sources, ...before, tokenLifetimeMs, now: clock() }).stillUsingOld;
}

function hasMoved({ reason }: JudgedSource): boolean {
  return reason === 'moved' || reason === 'marked_as_moved';
}

/** Returns whether a source has an IP address. Any other stands for several callers. */
export function isOneCaller({ address }: SourceName): boolean {
  return isIP(address) !== 0;
}

/**
 * Returns the longest lifetime in milliseconds that a token can have now. Which client and resource server a source
 * asks for is not known, so it applies to every source.
 * @param ttlSeconds that of tokens for which neither client nor resource server has one.
 */
export async function findLongestLifetimeMs(database: Queryable, ttlSeconds: number): Promise<number> {
  const rows = await database.query<{ longest: number }>(
    'SELECT greatest($1::integer, max(access_token_ttl)) AS longest FROM clients WHERE access_token_ttl IS NOT NULL',
    [ttlSeconds],
  );
  return (rows[0]?.longest ?? ttlSeconds) * 1_000;
}

/** Returns a judged source in its wire format, which reviews and the progress of rotations have in common. */
export function presentJudged(source: JudgedSource) {
  return {
    ...presentPlace(source),
    last_seen_at: source.lastUsedAt?.toISOString() ?? null,
    tokens_24h: source.issued24h,
    reason: source.reason,
    counts_as_moved_at: source.countsAsMovedAt?.toISOString() ?? null,
    required_silence_seconds: Math.ceil(source.silenceMs / 1_000),
    live_tokens: source.liveTokens,
    renewals_awaited: source.renewalsAwaited,
    marked_at: source.mark?.at.toISOString() ?? null,
    marked_by: source.mark?.by ?? null,
  };
}
