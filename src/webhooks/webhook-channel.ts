import type { Actor, CommitChange } from '../audit/audit-log.ts';
import { unseal } from '../credentials/sealed-copy.ts';
import { NotFound } from '../errors.ts';
import type { DeliveryOutcome, NoticeChannel } from '../notices/channel.ts';
import type { Database, Queryable } from '../storage/database.ts';
import { setWebhookEnabled, type WebhookDeps } from './manage-webhooks.ts';
import { type Attempt, sendWebhook } from './send-webhook.ts';
import type { disabledReasons, Webhook } from './webhook.ts';
import { toWebhookEvent, type WebhookEvent } from './webhook-event.ts';
import { signWebhook } from './webhook-signature.ts';
import { findSubscribed, findWebhook, findWebhookSecrets, saveAttempt } from './webhook-store.ts';
import { addressCheckFor } from './webhook-url.ts';

export type WebhookSender = WebhookDeps & {
  issuer: string;
  /** Trusted CAs in PEM, or undefined for those that Node.js trusts. */
  webhookCa?: string | undefined;
};

/** How long nothing is delivered before a webhook is disabled. The outbox gives up its notices at the same time. */
const disabledAfterMs = 3 * 86_400_000;
/** Attempts of 10 seconds each, which fit into the minute of a delivery. */
const batchSize = 5;

/** Creates the channel that delivers notices to webhooks. */
export function createWebhookChannel(
  deps: WebhookSender & { database: Database; change: CommitChange },
): NoticeChannel {
  /** @returns undefined if the webhook is not disabled, because somebody else has changed it. */
  async function disable(webhook: Webhook, as: (typeof disabledReasons)[number]): Promise<void> {
    await deps
      .change((transaction) => setWebhookEnabled(transaction, deps, keyturn, webhook.id, as))
      .catch((error: unknown) => {
        // It was deleted in the meantime.
        if (!(error instanceof NotFound)) throw error;
      });
  }

  /** Records the result of an attempt, and disables a webhook that does not work. */
  async function record(webhook: Webhook, attempt: Attempt): Promise<DeliveryOutcome> {
    const now = deps.clock();
    const failure = attempt.isDelivered ? undefined : attempt.reason;
    const saved = await saveAttempt(deps.database, webhook.id, failure, new Date(now));
    if (failure === undefined) return { as: 'delivered' };
    if (attempt.status === 410) {
      await disable(webhook, 'gone');
      return { as: 'parked', reason: failure };
    }
    if (saved?.failingSince && now - saved.failingSince.getTime() >= disabledAfterMs) {
      await disable(webhook, 'failing');
      return { as: 'parked', reason: failure };
    }
    // Without an answer, the receiver may have it all the same. It recognises the id.
    return { as: 'retry', reason: failure };
  }

  return {
    name: 'webhook',
    batchSize,
    collectMs: 0,
    quietMs: 0,
    findReceivers: async (transaction, notice) =>
      (await findSubscribed(transaction, notice)).map(({ id, organizationId, name }) => ({ id, organizationId, name })),
    deliver: async (receiver, notices, signal) => {
      const webhook = await findWebhook(deps.database, receiver);
      if (!webhook) return notices.map(() => ({ as: 'skipped', reason: 'The webhook was deleted.' }));
      if (webhook.disabledAs) return notices.map(() => ({ as: 'parked', reason: 'The webhook is disabled.' }));
      const outcomes: DeliveryOutcome[] = [];
      for (const notice of notices) {
        if (signal.aborted) break;
        const event = toWebhookEvent(notice, deps.issuer, webhook);
        const outcome = await record(webhook, await sendEvent(deps.database, deps, webhook, event, signal));
        outcomes.push(outcome);
        // The others wait, so that the order is kept.
        if (outcome.as !== 'delivered') break;
      }
      return outcomes;
    },
  };
}

const keyturn: Actor = { id: 'keyturn', name: 'Keyturn', address: null };

/** Signs an event with every live secret, and sends it once. */
export async function sendEvent(
  database: Queryable,
  deps: WebhookSender,
  webhook: Pick<Webhook, 'id' | 'url' | 'organizationId'>,
  event: WebhookEvent,
  signal?: AbortSignal,
): Promise<Attempt> {
  const now = deps.clock();
  const secrets = await findWebhookSecrets(database, webhook.id, new Date(now));
  const plain = secrets.map(({ id, sealed }) => unseal(deps.keyRing, { table: 'webhook_secrets', id }, sealed));
  const body = JSON.stringify(event);
  return await sendWebhook(webhook.url, signWebhook(plain, event.id, now, body), body, {
    isAllowed: addressCheckFor(deps.webhookNetworks, webhook.organizationId),
    ca: deps.webhookCa,
    signal,
  });
}
