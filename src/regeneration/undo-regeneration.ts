import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { SecretDeps } from '../secrets/manage-secrets.ts';
import { type SecretOwner, saveSecretEnd } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import type { Regeneration } from './regeneration.ts';
import { saveRegenerationEnd } from './regeneration-store.ts';
import { requireOverlapping } from './require-overlapping.ts';

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
  await saveSecretEnd(transaction, revived);
  await saveRegenerationEnd(transaction, oldSecret.id, ended);
  await owner.save(transaction, { clientId: oldSecret.clientId ?? undefined }, at);
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
