import { type Actor, appendAuditEvent, type CommitChange } from '../audit/audit-log.ts';
import { Conflict, type InvalidInput, invalidField } from '../errors.ts';
import type { SecretDeps } from '../secrets/manage-secrets.ts';
import { type OwnerRef, type SecretOwner, saveSecretEnd } from '../secrets/secret-store.ts';
import { recordChange } from '../storage/change.ts';
import type { Database, Queryable, Transaction } from '../storage/database.ts';
import { marginMs } from './judge-sources.ts';
import { followProgress } from './regeneration-progress.ts';
import {
  endSecret,
  listFinishWhenUnused,
  type Regeneration,
  requireRegeneration,
  saveRegenerationEnd,
  stateOf,
} from './regeneration-store.ts';

/**
 * Ends the grace period of a locked owner now: the previous secret stops working, tokens obtained with it stay valid.
 * @throws {Conflict} if the regeneration has already ended.
 */
export async function finishRegeneration(
  transaction: Transaction,
  deps: SecretDeps,
  actor: Actor,
  owner: SecretOwner,
  id: string,
): Promise<Regeneration> {
  const at = new Date(deps.clock());
  const regeneration = await requireOverlapping(transaction, owner, id, at);
  const { oldSecret } = regeneration;
  await endSecret(transaction, oldSecret, at, actor);
  await owner.save(transaction, {}, at);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.finish_regeneration`,
    targetType: owner.targetType,
    target: owner.target,
    before: { generation: oldSecret.generation, hint: oldSecret.hint, retires_at: oldSecret.retiresAt },
    after: { retires_at: at, regeneration_id: id },
  });
  return {
    ...regeneration,
    oldSecret: { ...oldSecret, retiresAt: at, endedAs: 'finished' },
    ended: { at, as: 'finished', by: actor.name },
  };
}

const maxGraceMs = 30 * 86_400_000;

/**
 * Lets the grace period of a locked owner end later: the previous secret is valid until `end`.
 * @param end after the present end of the grace period, and at most 30 days from now.
 * @throws {InvalidInput} if `end` is outside these limits.
 * @throws {Conflict} if the regeneration has already ended.
 */
export async function extendRegeneration(
  transaction: Transaction,
  deps: SecretDeps,
  actor: Actor,
  owner: SecretOwner,
  id: string,
  end: Date,
): Promise<Regeneration> {
  const at = new Date(deps.clock());
  const regeneration = await requireOverlapping(transaction, owner, id, at);
  const { oldSecret } = regeneration;
  const latest = new Date(at.getTime() + maxGraceMs);
  if (oldSecret.retiresAt && end <= oldSecret.retiresAt) {
    throw invalidEnd(`must be after ${oldSecret.retiresAt.toISOString()}, when the grace period would end`);
  }
  if (end > latest) throw invalidEnd(`must not be after ${latest.toISOString()}, 30 days from now`);
  const extended = { ...oldSecret, retiresAt: end };
  await saveSecretEnd(transaction, extended);
  await owner.save(transaction, {}, at);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.extend_regeneration`,
    targetType: owner.targetType,
    target: owner.target,
    before: { generation: oldSecret.generation, hint: oldSecret.hint, retires_at: oldSecret.retiresAt },
    after: { retires_at: end, regeneration_id: id },
  });
  return { ...regeneration, oldSecret: extended };
}

function invalidEnd(message: string): InvalidInput {
  return invalidField('retires_at', message);
}

/**
 * Undoes the rotation of a locked owner during its grace period: the previous secret and its Client ID are current
 * again; the new secret and every token obtained with it end at once.
 * @throws {Conflict} if the regeneration has already ended.
 */
export async function undoRegeneration(
  transaction: Transaction,
  deps: SecretDeps,
  actor: Actor,
  owner: SecretOwner,
  id: string,
): Promise<Regeneration> {
  const at = new Date(deps.clock());
  const { oldSecret, newSecret, ...regeneration } = await requireOverlapping(transaction, owner, id, at);
  const ended = { at, as: 'undone', by: actor.name } as const;
  const revived = { ...oldSecret, retiresAt: null };
  const undone = { ...newSecret, retiresAt: at, endedAs: 'undone' } as const;
  await saveSecretEnd(transaction, undone);
  for (const kind of ['undone_secret', 'ended_secret'] as const) {
    await recordChange(transaction, { kind, target: undone.id, at });
  }
  await saveSecretEnd(transaction, revived);
  await saveRegenerationEnd(transaction, oldSecret.id, ended);
  const registration = oldSecret.registration ?? undefined;
  await owner.save(transaction, { clientId: oldSecret.clientId ?? undefined, registration }, at);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.undo_regeneration`,
    targetType: owner.targetType,
    target: owner.target,
    before: { generation: newSecret.generation, hint: newSecret.hint },
    after: { generation: oldSecret.generation, hint: oldSecret.hint, regeneration_id: id },
  });
  return { ...regeneration, oldSecret: revived, newSecret: undone, ended };
}

/**
 * Returns a regeneration that can still be undone or finished.
 * @throws {NotFound} if the owner has no such regeneration.
 * @throws {Conflict} `regeneration_finished` or `regeneration_undone`.
 */
export async function requireOverlapping(
  transaction: Transaction,
  owner: SecretOwner,
  id: string,
  at: Date,
): Promise<Regeneration> {
  const regeneration = await requireRegeneration(transaction, owner, id);
  const state = stateOf(regeneration, at.getTime());
  if (state === 'finished') {
    throw new Conflict(
      'regeneration_finished',
      'The grace period has ended, so the previous secret cannot become valid again.',
    );
  }
  if (state === 'undone') throw new Conflict('regeneration_undone', 'The regeneration was already undone.');
  return regeneration;
}

type Deps = SecretDeps & {
  database: Database;
  ttlSeconds: number;
  change: CommitChange;
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
  if (!progress || progress.usingNew.length === 0 || progress.stillUsingOld.length > 0) return false;
  // Another process may not have written the latest uses yet, which withdraw a mark.
  return progress.moved.every(({ reason, mark }) => {
    return reason !== 'marked_as_moved' || deps.clock() - Number(mark?.at) >= marginMs;
  });
}
