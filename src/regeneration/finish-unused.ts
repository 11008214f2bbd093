import type { Actor } from '../audit/audit-log.ts';
import { Conflict } from '../errors.ts';
import type { SecretDeps } from '../secrets/manage-secrets.ts';
import type { OwnerRef, SecretOwner } from '../secrets/secret-store.ts';
import type { Database, Queryable, Transaction } from '../storage/database.ts';
import { finishRegeneration } from './finish-regeneration.ts';
import type { Regeneration } from './regeneration.ts';
import { followProgress } from './regeneration-progress.ts';
import { listFinishWhenUnused } from './regeneration-store.ts';

type Deps = SecretDeps & {
  database: Database;
  ttlSeconds: number;
  change<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** Locks the owner. Returns undefined if it was deleted. */
  lockOwner(transaction: Transaction, owner: OwnerRef): Promise<SecretOwner | undefined>;
};

const keyturn: Actor = { id: 'keyturn', name: 'Keyturn', address: null };

/**
 * Ends grace periods with `finish_when_unused` whose previous secret is no longer used. Several processes can run it at
 * the same time. If none does, the grace period ends at its date.
 */
export async function finishUnused(deps: Deps): Promise<void> {
  for (const { owner, regeneration } of await listFinishWhenUnused(deps.database, new Date(deps.clock()))) {
    if (!(await isUnused(deps.database, deps, owner, regeneration))) continue;
    await deps
      .change(async (transaction) => {
        const locked = await deps.lockOwner(transaction, owner);
        // Decide again under the lock: the old secret may have been used in the meantime.
        if (!locked || !(await isUnused(transaction, deps, owner, regeneration))) return;
        await finishRegeneration(transaction, deps, keyturn, locked, regeneration.id);
      })
      .catch((error: unknown) => {
        // Another process or an operator has ended it in the meantime.
        if (!(error instanceof Conflict)) throw error;
      });
  }
}

/** Returns whether every source of the old secret has moved, and at least one source uses the new one. */
async function isUnused(
  database: Queryable,
  deps: Pick<Deps, 'clock' | 'ttlSeconds'>,
  owner: OwnerRef,
  regeneration: Regeneration,
): Promise<boolean> {
  const [progress] = await followProgress(database, deps, owner, [regeneration]);
  // If no source uses the new secret, it may not even have been distributed.
  return progress !== undefined && progress.usingNew.length > 0 && progress.stillUsingOld.length === 0;
}
