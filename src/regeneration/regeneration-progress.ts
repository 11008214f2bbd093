import { isIP } from 'node:net';
import type { Clock } from '../process/clock.ts';
import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import { countLiveTokensBySecret, findSources } from '../usage/usage-report.ts';
import { nameOfSource, type UsageSource } from '../usage/usage-source.ts';
import { type Regeneration, type RegenerationState, stateOf } from './regeneration-store.ts';

/** A regeneration with the sources that have moved to the new secret, and those that have not. */
export type RegenerationProgress = JudgedSources & {
  regeneration: Regeneration;
  state: RegenerationState;
  /** Sources that were refused with the ended secret: the old one, or after an undo the new one. */
  triedAfterEnd: UsageSource[];
};

/** Finds the progress of regenerations of one owner, with a fixed number of queries. */
export async function followProgress(
  database: Queryable,
  deps: { clock: Clock; ttlSeconds: number },
  owner: OwnerRef,
  regenerations: readonly Regeneration[],
): Promise<RegenerationProgress[]> {
  const now = deps.clock();
  const generations = regenerations.flatMap(({ oldSecret, newSecret }) => [oldSecret.generation, newSecret.generation]);
  const sources = await findSources(database, owner.id, generations, now);
  const liveTokens = await countLiveTokensBySecret(database, owner.id, now);
  const tokenLifetimeMs = (await findLongestLifetime(database, deps.ttlSeconds)) * 1_000;
  return regenerations.map((regeneration) => {
    const { oldSecret, newSecret } = regeneration;
    const state = stateOf(regeneration, now);
    const ended = state === 'undone' ? newSecret : oldSecret;
    return {
      regeneration,
      state,
      ...judgeSources(sources, regeneration, {
        now,
        tokenLifetimeMs,
        liveOldTokens: liveTokens.get(oldSecret.generation) ?? 0,
      }),
      triedAfterEnd:
        state === 'overlapping'
          ? []
          : sources.filter(
              (source) =>
                source.generation === ended.generation &&
                (source.refusedAs === 'retired_secret' || source.refusedAs === 'undone_secret'),
            ),
    };
  });
}

/**
 * Returns the longest lifetime in seconds that a token can have now. Which client and resource server a source asks for
 * is not known, so it applies to every source.
 * @param ttlSeconds that of tokens for which neither client nor resource server has one.
 */
async function findLongestLifetime(database: Queryable, ttlSeconds: number): Promise<number> {
  const rows = await database.query<{ longest: number }>(
    'SELECT greatest($1::integer, max(access_token_ttl)) AS longest FROM clients WHERE access_token_ttl IS NOT NULL',
    [ttlSeconds],
  );
  return rows[0]?.longest ?? ttlSeconds;
}

/** Sources of one regeneration, by whether they have moved from the old secret to the new one. */
type JudgedSources = {
  moved: UsageSource[];
  stillUsingOld: UsageSource[];
  /** Sources of the new secret. */
  usingNew: UsageSource[];
};

/** Times compared with each other come from several processes and are rounded to a minute. */
const marginMs = 60_000;
const rememberedMs = 30 * 24 * 3_600_000;

/**
 * Decides which sources of the old secret have moved to the new one. Everything that is shown, and the early end of a
 * grace period, follow from this rule alone.
 *
 * A source has moved if it was seen with the new secret, and has not used the old one for a token lifetime plus a
 * minute and for at least its longest gap between two uses. Several programs can share an address and a user agent, so
 * a use of the new secret does not mean that all of them have moved; one that still has the old secret would have used
 * it again within that time. A source that was never seen with the new secret has not moved, however long it has been
 * silent.
 * @param sources all sources of the old and the new secret.
 * @param liveOldTokens number of tokens that were issued for the old secret and have not expired.
 */
function judgeSources(
  sources: readonly UsageSource[],
  { oldSecret, newSecret, createdAt }: Pick<Regeneration, 'oldSecret' | 'newSecret' | 'createdAt'>,
  { now, tokenLifetimeMs, liveOldTokens }: { now: number; tokenLifetimeMs: number; liveOldTokens: number },
): JudgedSources {
  const usingNew = sources.filter((source) => source.generation === newSecret.generation && source.lastUsedAt);
  const newNames = new Set(usingNew.map(nameOfSource));
  const quietMs = (source: UsageSource) => now - Number(source.lastUsedAt);
  const hasMoved = (source: UsageSource) =>
    // Without an IP address, this row stands for several callers that cannot be told apart.
    isIP(source.address) !== 0 &&
    newNames.has(nameOfSource(source)) &&
    quietMs(source) >= Math.max(tokenLifetimeMs + marginMs, source.longestGapMs);
  // Include uses before the regeneration: a program that runs once a night has not moved because it was silent since
  // noon.
  const old = sources.filter(
    ({ generation, lastUsedAt }) =>
      generation === oldSecret.generation &&
      lastUsedAt !== null &&
      createdAt.getTime() - lastUsedAt.getTime() < rememberedMs,
  );
  const moved = old.filter(hasMoved);
  // Tokens outlive the lifetime above only if it was shortened. The last source of the old secret is assumed to hold
  // them.
  if (liveOldTokens > 0 && moved.length === old.length) {
    moved.sort((a, b) => quietMs(b) - quietMs(a)).pop();
  }
  return { moved, stillUsingOld: old.filter((source) => !moved.includes(source)), usingNew };
}
