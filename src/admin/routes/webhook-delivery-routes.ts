import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Core } from '../../core.ts';
import { deliveryStates } from '../../notices/list-notices.ts';
import { listReceiverDeliveries, type ReceiverDelivery } from '../../notices/receiver-deliveries.ts';
import { endWebhookRotation, rotateWebhookSecret } from '../../webhooks/manage-webhooks.ts';
import { replayWebhook } from '../../webhooks/replay-webhook.ts';
import { sendEvent } from '../../webhooks/webhook-channel.ts';
import { makeTestEvent } from '../../webhooks/webhook-event.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { createPager, pageQuery, pageSchema } from '../paging.ts';
import {
  attemptSchema,
  createdWebhookSchema,
  presentDelivery,
  webhookDeliverySchema,
  webhookSchema,
} from '../presenters/present-webhook.ts';
import { moment } from '../text.ts';
import { webhookParams as params, requireWebhook, showWebhook } from './webhook-routes.ts';

/** Endpoints of the signing secrets of webhooks, and of what is delivered to them. */
export function webhookDeliveryEndpoints(core: Core): Endpoint[] {
  const pager = createPager(core.keyRing, 'webhook deliveries', z.strictObject({ position: z.int() }));
  const deps = { ...core, webhookNetworks: core.config.webhookNetworks };
  const ends = [
    {
      as: 'finish',
      summary: 'End the grace period of the signing secret now. Nothing is signed with the previous one',
    },
    { as: 'undo', summary: 'Undo the rotation of the signing secret. The previous one is current again' },
  ] as const;

  return [
    endpoint({
      method: 'post',
      path: '/webhooks/{id}/rotate',
      operationId: 'rotateWebhookSecret',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Rotate the signing secret. Events are signed with both until the grace period ends',
      params,
      body: z.strictObject({
        overlap_seconds: z.int().min(0).max(2_592_000).default(86_400).meta({
          description: 'The grace period in seconds, in which events are signed with the previous secret too.',
        }),
      }),
      example: { overlap_seconds: 604_800 },
      idempotent: true,
      answers: { 201: createdWebhookSchema },
      handle: ({ operator, params: { id }, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const rotated = await rotateWebhookSecret(transaction, deps, operator, id, body.overlap_seconds);
          return {
            status: 201,
            secretOf: { targetType: 'webhook', target: id },
            body: {
              ...((await showWebhook(core, transaction, rotated.webhook)).body as object),
              signing_secret: rotated.signingSecret,
            },
          };
        }),
    }),
    ...ends.map(({ as, summary }) =>
      endpoint({
        method: 'post',
        path: `/webhooks/{id}/rotation/${as}`,
        operationId: `${as}WebhookRotation`,
        permission: 'api_key:manage',
        reach: 'organization',
        summary,
        params,
        answers: { 200: webhookSchema },
        problems: [409],
        handle: ({ operator, params: { id } }) =>
          core.change(async (transaction) =>
            showWebhook(core, transaction, await endWebhookRotation(transaction, core, operator, id, as)),
          ),
      }),
    ),
    endpoint({
      method: 'post',
      path: '/webhooks/{id}/test',
      operationId: 'testWebhook',
      permission: 'api_key:manage',
      reach: 'organization',
      summary: 'Send a test event now, also if the webhook is disabled',
      params,
      answers: { 200: attemptSchema },
      handle: async ({ params: { id } }) => {
        const webhook = await requireWebhook(core.database, id);
        const event = makeTestEvent(randomUUID(), core.issuer, webhook, new Date(core.clock()));
        const attempt = await sendEvent(core.database, deps, webhook, event);
        return {
          status: 200,
          body: {
            delivered: attempt.isDelivered,
            status: attempt.status ?? null,
            reason: attempt.isDelivered ? null : attempt.reason,
            event_id: event.id,
          },
        };
      },
    }),
    endpoint({
      method: 'get',
      path: '/webhooks/{id}/deliveries',
      operationId: 'listWebhookDeliveries',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List what was and will be delivered, the latest first',
      params,
      query: z.strictObject({
        ...pageQuery,
        state: z.enum(deliveryStates).optional().meta({ description: 'Only deliveries in this state.' }),
      }),
      answers: { 200: pageSchema(webhookDeliverySchema) },
      handle: async ({ params: { id }, query: { limit, cursor, state } }) => {
        const page = { limit, ...pager.open(cursor) };
        const webhook = await requireWebhook(core.database, id);
        const slice = { state, limit, after: page.after?.position, before: page.before?.position };
        const rows = await listReceiverDeliveries(core.database, 'webhook', id, slice);
        const present = (row: ReceiverDelivery) => presentDelivery(row, core.issuer, webhook);
        return pager.answer(rows, page, present, ({ position }) => ({ position }));
      },
    }),
    endpoint({
      method: 'post',
      path: '/webhooks/{id}/replay',
      operationId: 'replayWebhook',
      permission: 'api_key:manage',
      reach: 'organization',
      summary: 'Deliver events again from a point in time on, in their order and with the same IDs',
      params,
      body: z.strictObject({
        since: moment.meta({
          description: 'The time of the first event (RFC 3339), at most 90 days ago.',
          override: { type: 'string', format: 'date-time' },
        }),
      }),
      example: { since: '2027-01-31T12:00:00Z' },
      answers: {
        200: z.strictObject({ count: z.int().meta({ description: 'How many events will be delivered.' }) }),
      },
      problems: [409],
      handle: async ({ operator, params: { id }, body: { since } }) => {
        const count = await core.change((transaction) => replayWebhook(transaction, core, operator, id, since));
        return { status: 200, body: { count } };
      },
    }),
  ];
}
