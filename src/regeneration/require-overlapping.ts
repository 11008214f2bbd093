import { Conflict } from '../errors.ts';
import type { SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { type Regeneration, stateOf } from './regeneration.ts';
import { requireRegeneration } from './regeneration-store.ts';

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
    throw new Conflict('regeneration_finished', 'The overlap has ended; the old secret cannot come back.');
  }
  if (state === 'undone') throw new Conflict('regeneration_undone', 'The regeneration was undone already.');
  return regeneration;
}
