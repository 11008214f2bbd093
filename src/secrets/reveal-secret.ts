import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { unseal } from '../credentials/sealed-copy.ts';
import { isLive } from '../credentials/secret.ts';
import { Conflict } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import type { SecretDeps } from './add-secret.ts';
import type { SecretOwner } from './secret-owner.ts';
import { findSealedSecret, findSecrets } from './secret-store.ts';

/** Opens the sealed copy of an owner's current secret. The audit event is committed before the secret is shown. */
export async function revealSecret(
  transaction: Transaction,
  deps: SecretDeps,
  actor: Actor,
  owner: SecretOwner,
): Promise<string> {
  const at = new Date(deps.clock());
  const current = (await findSecrets(transaction, owner)).find((secret) => isLive(secret, at.getTime()));
  const sealed = current && (await findSealedSecret(transaction, current.id));
  if (!current || !sealed || !deps.reveal) {
    throw new Conflict('not_revealable', 'No copy of this secret is kept, so it cannot be shown again.');
  }
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: owner.kind === 'client' ? 'client.reveal_secret' : 'access_key.reveal',
    targetType: owner.targetType,
    target: owner.target,
    after: { hint: current.hint },
  });
  return unseal(deps.keyRing, { table: 'secrets', id: current.id }, sealed);
}
