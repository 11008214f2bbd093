import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { Conflict, NotFound } from '../errors.ts';
import { replayDeliveries } from '../notices/receiver-deliveries.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { lockWebhook } from './webhook-store.ts';

/**
 * Delivers the events since a point in time again, also those that the webhook did not receive then.
 * @returns their number.
 * @throws {Conflict} `webhook_disabled`, `too_many_notices`
 */
export async function replayWebhook(
  transaction: Transaction,
  { clock }: { clock: Clock },
  actor: Actor,
  id: string,
  since: Date,
): Promise<number> {
  const webhook = await lockWebhook(transaction, id);
  if (!webhook) throw new NotFound('webhook');
  if (webhook.disabledAs) throw new Conflict('webhook_disabled', 'Enable the webhook first.');
  const { organizationId, kinds } = webhook;
  const filter = { since, kinds, organizationId: organizationId === deploymentOrganization ? null : organizationId };
  const at = new Date(clock());
  const count = await replayDeliveries(transaction, 'webhook', webhook, filter, at);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'webhook.replay',
    targetType: 'webhook',
    target: id,
    organizationId,
    after: { since, count },
  });
  return count;
}
