import type { Clock } from '../clock.ts';
import type { Queryable } from '../storage/database.ts';
import { sourcesToMove } from './finish-unused.ts';
import { type Regeneration, type RegenerationState, stateOf } from './regeneration.ts';
import type { OwnerRef } from './secret-owner.ts';
import { hasMoved, type UsageSource } from './usage-source.ts';
import { findSources } from './usage-store.ts';

/** Who has moved from the old secret to the new one, and who has not. */
export type RegenerationProgress = {
  regeneration: Regeneration;
  state: RegenerationState;
  /** Sources of the old secret that use the new one instead. */
  moved: UsageSource[];
  /** Sources of the old secret that do not, or not only. */
  stillUsingOld: UsageSource[];
  /** Sources of the new secret. */
  usingNew: UsageSource[];
  /** Who still calls with the secret that is dead: the old one, or after an undo the new one. */
  triedAfterEnd: UsageSource[];
};

/** Follows regenerations of one owner, all with one query. */
export async function followProgress(
  database: Queryable,
  deps: { clock: Clock; ttlSeconds: number },
  owner: OwnerRef,
  regenerations: readonly Regeneration[],
): Promise<RegenerationProgress[]> {
  const now = deps.clock();
  const generations = regenerations.flatMap(({ oldSecret, newSecret }) => [oldSecret.generation, newSecret.generation]);
  const sources = await findSources(database, owner.id, generations, now);
  return regenerations.map((regeneration) => {
    const { oldSecret, newSecret } = regeneration;
    const state = stateOf(regeneration, now);
    const usingNew = sources.filter((source) => source.generation === newSecret.generation && source.lastUsedAt);
    const old = sourcesToMove(sources, regeneration);
    const moved = old.filter((source) => hasMoved(source, usingNew, { now, tokenLifetimeMs: deps.ttlSeconds * 1_000 }));
    const dead = state === 'undone' ? newSecret : oldSecret;
    return {
      regeneration,
      state,
      moved,
      stillUsingOld: old.filter((source) => !moved.includes(source)),
      usingNew,
      triedAfterEnd:
        state === 'overlapping'
          ? []
          : sources.filter(
              (source) =>
                source.generation === dead.generation &&
                (source.refusedAs === 'retired_secret' || source.refusedAs === 'undone_secret'),
            ),
    };
  });
}
