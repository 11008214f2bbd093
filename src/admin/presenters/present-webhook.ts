import { z } from 'zod';
import { deliveryStates } from '../../notices/list-notices.ts';
import { type NoticeKind, noticeKinds } from '../../notices/notice.ts';
import type { ReceiverDelivery } from '../../notices/receiver-deliveries.ts';
import { disabledReasons, type Webhook, type WebhookSecret } from '../../webhooks/webhook.ts';
import { toWebhookEvent } from '../../webhooks/webhook-event.ts';
import { hint, nullableTimestamp, timestamp } from '../text.ts';

/** Schema of the kinds that a webhook receives. */
export const webhookKinds = z
  .array(z.enum(Object.keys(noticeKinds) as [NoticeKind, ...NoticeKind[]]))
  .min(1)
  .nullable()
  .meta({ description: 'The kinds of notices that it receives. Null: all, also those of later versions.' });
/** Schema of the address of a webhook. */
export const webhookUrl = z.string().max(2_000).meta({
  description:
    'Where events are sent: an https URL with a public address. `KEYTURN_WEBHOOK_NETWORKS` allows others to webhooks of the deployment.',
  example: 'https://hooks.example.com/keyturn',
});

const secretSchema = z.strictObject({
  hint,
  created_at: timestamp('When the secret was generated'),
  retires_at: nullableTimestamp('When nothing is signed with it any more (RFC 3339). Null: it is the current one.'),
});

export const webhookSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the webhook.' }),
    name: z.string().meta({ description: 'The name of the webhook.' }),
    organization_id: z.uuid().meta({
      description: 'The ID of the organization whose notices it receives. That of the deployment: of all.',
    }),
    url: webhookUrl,
    kinds: webhookKinds,
    status: z.enum(['enabled', 'disabled']).meta({ description: 'While it is disabled, nothing is delivered.' }),
    disabled_as: z.enum(disabledReasons).nullable().meta({
      description:
        'Why it is disabled. `operator`: by hand. `failing`: nothing was delivered for three days. `gone`: the receiver answered with status 410. Null: it is enabled.',
    }),
    failing_since: nullableTimestamp('When the first attempt since the last success failed. Null: none has failed.'),
    last_failure: z.string().nullable().meta({ description: 'Why an attempt failed last. Null: none has failed.' }),
    last_success_at: nullableTimestamp('When an event was last delivered. Null: never.'),
    signing_secrets: z.array(secretSchema).meta({
      description: 'The secrets that sign events, the current one first. Two while a grace period is running.',
    }),
    created_at: timestamp('When the webhook was created'),
    updated_at: timestamp('When it was last changed'),
  })
  .meta({ id: 'Webhook', description: 'A receiver of events over HTTP.' });

const signingSecret = z.string().meta({
  description: 'The secret that signs events (Standard Webhooks). It is not shown again.',
  example: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
});
export const createdWebhookSchema = webhookSchema
  .extend({ signing_secret: signingSecret })
  .meta({ id: 'CreatedWebhook', description: 'A new webhook with its signing secret.' });

export const attemptSchema = z
  .strictObject({
    delivered: z.boolean().meta({ description: 'Whether the receiver answered with a status from 200 to 299.' }),
    status: z.int().nullable().meta({ description: 'The status of the answer. Null: there was none.' }),
    reason: z.string().nullable().meta({ description: 'Why it was not delivered. Null: it was.' }),
    event_id: z.uuid().meta({ description: 'The ID of the event that was sent.' }),
  })
  .meta({ id: 'WebhookTest', description: 'The result of a test event.' });

const eventSchema = z
  .strictObject({
    specversion: z.literal('1.0').meta({ description: 'The version of CloudEvents.' }),
    id: z.uuid().meta({ description: 'The ID of the event, the same in every attempt.' }),
    source: z.string().meta({ description: 'The issuer.' }),
    type: z.string().meta({ description: '`dev.keyturn.` and the kind.', example: 'dev.keyturn.grace_period_began' }),
    subject: z.string().optional().meta({ description: 'What it is about.', example: 'clients/kti_…' }),
    time: timestamp('When it happened'),
    datacontenttype: z.literal('application/json').meta({ description: 'The type of `data`.' }),
    data: z
      .record(z.string(), z.unknown().meta({ description: 'The value of the member.' }))
      .meta({ description: 'The details. Which members it has depends on the type.' }),
  })
  .meta({ id: 'WebhookEvent', description: 'An event as receivers get it: CloudEvents 1.0, structured mode.' });

export const webhookDeliverySchema = z
  .strictObject({
    event: eventSchema,
    state: z.enum(deliveryStates).meta({
      description:
        '`pending`: it is or will be tried; `delivered`: the receiver has accepted it; `skipped`: the webhook was deleted; `parked`: it failed for three days, or the webhook was disabled.',
    }),
    attempts: z.int().meta({ description: 'How often it was tried.' }),
    reason: z.string().nullable().meta({ description: 'Why it failed last. Null: it has not.' }),
    settled_at: nullableTimestamp('When it was delivered, skipped or parked (RFC 3339). Null: it is pending.'),
  })
  .meta({ id: 'WebhookDelivery', description: 'The delivery of an event to a webhook.' });

export function presentWebhook(webhook: Webhook, secrets: readonly WebhookSecret[]): z.input<typeof webhookSchema> {
  return {
    id: webhook.id,
    name: webhook.name,
    organization_id: webhook.organizationId,
    url: webhook.url,
    kinds: webhook.kinds ? [...webhook.kinds] : null,
    status: webhook.disabledAs ? 'disabled' : 'enabled',
    disabled_as: webhook.disabledAs,
    failing_since: webhook.failingSince?.toISOString() ?? null,
    last_failure: webhook.lastFailure,
    last_success_at: webhook.lastSuccessAt?.toISOString() ?? null,
    signing_secrets: secrets.map((secret) => ({
      hint: `…${secret.hint}`,
      created_at: secret.createdAt.toISOString(),
      retires_at: secret.retiresAt?.toISOString() ?? null,
    })),
    created_at: webhook.createdAt.toISOString(),
    updated_at: webhook.updatedAt.toISOString(),
  };
}

export function presentDelivery(
  { notice, state, attempts, reason, settledAt }: ReceiverDelivery,
  issuer: string,
  webhook: { organizationId: string },
): z.input<typeof webhookDeliverySchema> {
  return {
    event: toWebhookEvent(notice, issuer, webhook),
    state,
    attempts,
    reason,
    settled_at: settledAt?.toISOString() ?? null,
  };
}
