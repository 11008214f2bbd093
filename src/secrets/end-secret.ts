import type { Actor } from '../audit/audit-log.ts';
import type { Secret } from '../credentials/secret.ts';
import { saveRegenerationEnd } from '../regeneration/regeneration-store.ts';
import type { Transaction } from '../storage/database.ts';
import { saveSecretEnd } from './secret-store.ts';

/** Ends a secret permanently, and the grace period in which it was the previous one. */
export async function endSecret(
  transaction: Transaction,
  secret: Pick<Secret, 'id'>,
  at: Date,
  actor: Actor,
): Promise<void> {
  await saveSecretEnd(transaction, { id: secret.id, retiresAt: at, endedAs: 'finished' });
  await saveRegenerationEnd(transaction, secret.id, { at, as: 'finished', by: actor.name });
}
