import type { Clock } from '../process/clock.ts';
import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import { findLiveTokensBySecret, findSources } from '../usage/usage-report.ts';
import type { UsageSource } from '../usage/usage-source.ts';
import { findLongestLifetimeMs, type JudgedSource, judgeSources } from './judge-sources.ts';
import { type Regeneration, type RegenerationState, stateOf } from './regeneration-store.ts';

/** A regeneration with the sources that have moved to the new secret, and those that have not. */
export type RegenerationProgress = {
  regeneration: Regeneration;
  state: RegenerationState;
  moved: JudgedSource[];
  stillUsingOld: JudgedSource[];
  /** Sources of the new secret. */
  usingNew: UsageSource[];
  /** Sources that were refused with the ended secret: the old one, or after an undo the new one. */
  triedAfterEnd: UsageSource[];
};

const rememberedMs = 30 * 24 * 3_600_000;

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
  const liveTokens = await findLiveTokensBySecret(database, owner.id, now);
  const tokenLifetimeMs = await findLongestLifetimeMs(database, deps.ttlSeconds);
  return regenerations.map((regeneration) => {
    const { oldSecret, newSecret, createdAt, markedSources } = regeneration;
    const state = stateOf(regeneration, now);
    const ended = state === 'undone' ? newSecret : oldSecret;
    const usingNew = sources.filter(({ generation, lastUsedAt }) => generation === newSecret.generation && lastUsedAt);
    // Include uses before the regeneration: a program that runs once a night has not moved because it was silent since
    // noon.
    const old = sources.filter(
      ({ generation, lastUsedAt }) =>
        generation === oldSecret.generation &&
        lastUsedAt !== null &&
        createdAt.getTime() - lastUsedAt.getTime() < rememberedMs,
    );
    return {
      regeneration,
      state,
      ...judgeSources({
        old,
        usingNew,
        marked: markedSources,
        liveTokens: liveTokens.get(oldSecret.generation),
        tokenLifetimeMs,
        now,
      }),
      usingNew,
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
