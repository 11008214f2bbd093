import { isIP } from 'node:net';
import type { Clock } from '../process/clock.ts';
import type { Queryable } from '../storage/database.ts';
import type { LiveTokens } from '../usage/usage-report.ts';
import { nameOfSource, otherSources, presentPlace, type SourceName, type UsageSource } from '../usage/usage-source.ts';

/** Why a source counts as moved to the new credential, or why it does not. */
export const moveReasons = [
  'moved',
  'marked_as_moved',
  'never_seen_with_new',
  'used_previous_recently',
  'silent_less_than_usual',
  'holds_previous_tokens',
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
};

/** A source that an operator has declared to have moved, or not to come back. */
export type MarkedSource = SourceName & { at: Date; by: string };

/** Times compared with each other come from several processes and are rounded to a minute. */
const marginMs = 60_000;
/** Longest lifetime that can be configured for an access token. */
const maxTokenLifetimeMs = 86_400_000;

/**
 * Decides which sources of the previous credential have moved to the new one, and why. Everything that is shown, and
 * the early end of a grace period, follow from this rule alone.
 *
 * A source has moved if it was seen with the new credential, and has not used the previous one for a token lifetime
 * plus a minute and for at least its longest gap between two uses. Several programs can share an address and a user
 * agent, so a use of the new credential does not mean that all of them have moved; one that still has the previous
 * credential would have used it again within that time. A source that was never seen with the new credential has not
 * moved, however long it has been silent, unless an operator has marked it and it has not used the previous one since.
 * @param old the sources of the previous credential.
 * @param usingNew the sources of the new credential; empty before a rotation.
 * @param liveTokens the tokens that were issued for the previous credential and have not expired.
 */
export function judgeSources({
  old,
  usingNew,
  marked,
  liveTokens,
  tokenLifetimeMs,
  now,
}: {
  old: readonly UsageSource[];
  usingNew: readonly UsageSource[];
  marked: readonly MarkedSource[];
  liveTokens: LiveTokens | undefined;
  tokenLifetimeMs: number;
  now: number;
}): { moved: JudgedSource[]; stillUsingOld: JudgedSource[] } {
  const seenWithNewAt = new Map(usingNew.map((source) => [nameOfSource(source), Number(source.firstUsedAt)]));
  const marks = new Map(marked.map((source) => [nameOfSource(source), source.at]));
  const judged = old.map((source) => judge(source));
  // Tokens outlive the lifetime above only if it was shortened. The last source that may hold them is assumed to, unless
  // an operator has marked it.
  if (liveTokens && judged.every(hasMoved)) {
    const issuedAfter = liveTokens.until.getTime() - maxTokenLifetimeMs - marginMs;
    const holder = judged
      .filter(({ lastUsedAt }) => Number(lastUsedAt) >= issuedAfter)
      .sort((a, b) => Number(b.lastUsedAt) - Number(a.lastUsedAt))[0];
    if (holder?.reason === 'moved') {
      Object.assign(holder, { reason: 'holds_previous_tokens', countsAsMovedAt: liveTokens.until });
    }
  }
  return { moved: judged.filter(hasMoved), stillUsingOld: judged.filter((source) => !hasMoved(source)) };

  function judge(source: UsageSource): JudgedSource {
    const lastUsedAt = Number(source.lastUsedAt);
    const silenceMs = Math.max(tokenLifetimeMs + marginMs, source.longestGapMs);
    const verdict = (reason: MoveReason, at: Date | number | null): JudgedSource => ({
      ...source,
      reason,
      countsAsMovedAt: typeof at === 'number' ? new Date(at) : at,
      silenceMs,
    });
    // Without an IP address, the source stands for several callers that cannot be told apart.
    if (!isOneCaller(source)) {
      return verdict(source.address === otherSources ? 'merged_sources' : 'address_unreadable', null);
    }
    const markedAt = marks.get(nameOfSource(source));
    if (markedAt && lastUsedAt <= markedAt.getTime()) return verdict('marked_as_moved', markedAt);
    const newAt = seenWithNewAt.get(nameOfSource(source));
    if (newAt === undefined) return verdict('never_seen_with_new', null);
    const at = Math.max(lastUsedAt + silenceMs, newAt);
    if (now >= at) return verdict('moved', at);
    const isTokenGone = now - lastUsedAt >= tokenLifetimeMs + marginMs;
    return verdict(isTokenGone ? 'silent_less_than_usual' : 'used_previous_recently', at);
  }
}

/** Judges the sources of a current credential, when none of them can have moved. */
export async function judgeBeforeRotation(
  database: Queryable,
  { clock, ttlSeconds }: { clock: Clock; ttlSeconds: number },
  sources: readonly UsageSource[],
): Promise<JudgedSource[]> {
  const tokenLifetimeMs = await findLongestLifetimeMs(database, ttlSeconds);
  const before = { usingNew: [], marked: [], liveTokens: undefined };
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
  };
}
