import type { Clock } from '../process/clock.ts';
import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import type { UsageSource } from '../usage/usage-report.ts';
import { countLiveTokensBySecret, findSources } from '../usage/usage-report.ts';
import { type JudgedSources, judgeSources } from './judge-sources.ts';
import { type Regeneration, type RegenerationState, stateOf } from './regeneration.ts';

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
  return regenerations.map((regeneration) => {
    const { oldSecret, newSecret } = regeneration;
    const state = stateOf(regeneration, now);
    const ended = state === 'undone' ? newSecret : oldSecret;
    return {
      regeneration,
      state,
      ...judgeSources(sources, regeneration, {
        now,
        tokenLifetimeMs: deps.ttlSeconds * 1_000,
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
