import type { Actor } from '../audit/audit-log.ts';
import { Conflict } from '../errors.ts';
import type { Database, Queryable, Transaction } from '../storage/database.ts';
import type { SecretDeps } from './add-secret.ts';
import { finishRegeneration } from './finish-regeneration.ts';
import type { Regeneration } from './regeneration.ts';
import { listFinishWhenUnused } from './regeneration-store.ts';
import type { OwnerRef, SecretOwner } from './secret-owner.ts';
import { hasMoved, type UsageSource } from './usage-source.ts';
import { findSources } from './usage-store.ts';

type Deps = SecretDeps & {
  database: Database;
  ttlSeconds: number;
  change<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** The owner, locked; undefined when it is gone. */
  lockOwner(transaction: Transaction, owner: OwnerRef): Promise<SecretOwner | undefined>;
};

const keyturn: Actor = { id: 'keyturn', name: 'Keyturn', address: null };

/**
 * Ends the overlaps that are to end by evidence and whose old secret is no longer used. Any process may do it, at any time, several at
 * once; where none does, the date ends the overlap all the same.
 */
export async function finishUnused(deps: Deps): Promise<void> {
  for (const { owner, regeneration } of await listFinishWhenUnused(deps.database, new Date(deps.clock()))) {
    if (!(await isUnused(deps.database, deps, owner, regeneration))) continue;
    await deps
      .change(async (transaction) => {
        const locked = await deps.lockOwner(transaction, owner);
        // Looked at again under the lock: what the decision is made on is what is there when it counts.
        if (!locked || !(await isUnused(transaction, deps, owner, regeneration))) return;
        await finishRegeneration(transaction, deps, keyturn, locked, regeneration.id);
      })
      .catch((error: unknown) => {
        // Somebody else has ended it in between.
        if (!(error instanceof Conflict)) throw error;
      });
  }
}

/**
 * Whether every source of the old secret has moved. Its sources are also those of the 30 days before the regeneration: what calls once
 * a night, or once a month, has not moved just because it was not heard of since noon.
 */
async function isUnused(
  database: Queryable,
  { clock, ttlSeconds }: Pick<Deps, 'clock' | 'ttlSeconds'>,
  owner: OwnerRef,
  regeneration: Regeneration,
): Promise<boolean> {
  const now = clock();
  const { oldSecret, newSecret } = regeneration;
  const sources = await findSources(database, owner.id, [oldSecret.generation, newSecret.generation], now);
  const newSources = sources.filter((source) => source.generation === newSecret.generation && source.lastUsedAt);
  const oldSources = sourcesToMove(sources, regeneration);
  // Nobody seen with the new one says nothing: not even that it has been handed over.
  if (newSources.length === 0) return false;
  return oldSources.every((source) => hasMoved(source, newSources, { now, tokenLifetimeMs: ttlSeconds * 1_000 }));
}

const rememberedMs = 30 * 24 * 3_600_000;

/** The sources of the old secret, in the overlap and in the 30 days before it. */
export function sourcesToMove(
  sources: readonly UsageSource[],
  { oldSecret, createdAt }: Pick<Regeneration, 'oldSecret' | 'createdAt'>,
): UsageSource[] {
  return sources.filter(
    ({ generation, lastUsedAt }) =>
      generation === oldSecret.generation &&
      lastUsedAt !== null &&
      createdAt.getTime() - lastUsedAt.getTime() < rememberedMs,
  );
}
