import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { SecretDeps } from '../secrets/manage-secrets.ts';
import type { SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import type { Regeneration } from './regeneration.ts';
import { endSecret } from './regeneration-store.ts';
import { requireOverlapping } from './require-overlapping.ts';

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
