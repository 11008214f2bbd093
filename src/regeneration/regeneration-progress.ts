import type { Clock } from '../process/clock.ts';
import type { OwnerRef } from '../secrets/secret-store.ts';
import type { Queryable } from '../storage/database.ts';
import { findSourcesOf } from '../usage/usage-report.ts';
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
  return await followRotations(
    database,
    deps,
    regenerations.map((regeneration) => ({ owner, regeneration })),
  );
}

/** Finds the progress of regenerations of several owners, in their order, with a fixed number of queries. */
export async function followRotations<Rotation extends { owner: OwnerRef; regeneration: Regeneration }>(
  database: Queryable,
  deps: { clock: Clock; ttlSeconds: number },
  rotations: readonly Rotation[],
): Promise<(RegenerationProgress & Rotation)[]> {
  const now = deps.clock();
  const generations = rotations.flatMap(({ regeneration: { oldSecret, newSecret } }) => [
    oldSecret.generation,
    newSecret.generation,
  ]);
  const owners = [...new Set(rotations.map(({ owner }) => owner.id))];
  const sourcesOf = await findSourcesOf(database, owners, [...new Set(generations)], now);
  const tokenLifetimeMs = await findLongestLifetimeMs(database, deps.ttlSeconds);
  return rotations.map((rotation) => {
    const { owner, regeneration } = rotation;
    const { oldSecret, newSecret, createdAt, markedSources } = regeneration;
    const sources = sourcesOf.get(owner.id) ?? [];
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
      ...rotation,
      state,
      ...judgeSources({
        old,
        usingNew,
        marked: markedSources,
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
