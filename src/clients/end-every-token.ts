import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import { recordChanges } from '../storage/record-change.ts';
import { raiseEveryTokenEpoch } from './client-store.ts';

/**
 * Ends every access token that was ever issued, after the database was restored from a backup: the backup lacks later
 * revocations, so revoked tokens would be valid again. @returns the number of clients.
 */
export async function endEveryToken(
  transaction: Transaction,
  { clock }: { clock: Clock },
  actor: Actor,
): Promise<number> {
  const at = new Date(clock());
  const { clients, clientIds } = await raiseEveryTokenEpoch(transaction, at);
  await recordChanges(
    transaction,
    clientIds.map((target) => ({ kind: 'client', target })),
    at,
  );
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'deployment.after_restore',
    targetType: 'deployment',
    target: 'all',
    after: { clients },
  });
  return clients;
}
