import { z } from 'zod';
import { findAttention } from '../../attention/attention.ts';
import {
  type AttentionItem,
  attentionKinds,
  maxCount,
  maxItems,
  type Urgency,
  urgencies,
} from '../../attention/attention-item.ts';
import { describeAttention, nextStepOf } from '../../attention/describe-attention.ts';
import { findFirstSteps } from '../../attention/first-steps.ts';
import type { Core } from '../../core.ts';
import { presentPlace } from '../../usage/usage-source.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { placeFields } from '../presenters/present-regeneration.ts';
import { nullableTimestamp, queryNumber, timestamp } from '../text.ts';

const attentionQuery = z.strictObject({
  limit: queryNumber(maxItems, maxItems, 'The maximum number of items of each kind.'),
});

const kind = z.enum(attentionKinds);

const itemSchema = z
  .strictObject({
    kind: kind.meta({
      description:
        '`break_glass_used`: an operator token for emergencies was used in the last 7 days, and the use was not acknowledged; `approval_pending`: a request waits for your approval; `refused_credential`: an ended credential was used in the last 7 days; `grace_period_ending`: sources have not moved; `grace_period_complete`: all sources have moved; `resource_server_silent`: it checked tokens before, but not for 7 days; `webhook_disabled`: nothing could be delivered to a webhook for days; `audit_stream_late`: a receiver of the audit log has not accepted an event for 15 minutes; `notice_parked`: a notice could not be delivered to somebody; `certificate_expiring` and `access_key_expiring`: within 14 days; `policy_violated`: a policy in the stage warn or enforce; `unused_…`: for 90 days.',
    }),
    urgency: z.enum(urgencies).meta({
      description:
        '`urgent`: requests fail now, or will within a day, or an operator token for emergencies was used; `soon`: they will fail on a known date, or failed in the last week; `later`: nothing fails.',
    }),
    client_id: z.string().nullable().meta({ description: 'The Client ID. Null: it is not about a client.' }),
    access_key_id: z.uuid().nullable().meta({ description: 'The ID of the access key. Null: it is not about one.' }),
    audit_stream: z.string().nullable().meta({
      description: 'The name of the receiver of the audit log. Null: it is not about one.',
    }),
    notice_id: z.uuid().nullable().meta({ description: 'The ID of the notice. Null: it is not about one.' }),
    operator_token_id: z
      .uuid()
      .nullable()
      .meta({ description: 'The ID of the operator token. Null: it is not about one.' }),
    approval_id: z.uuid().nullable().meta({ description: 'The ID of the request for approval. Null: not about one.' }),
    webhook_id: z.uuid().nullable().meta({ description: 'The ID of the webhook. Null: it is not about one.' }),
    name: z.string().meta({
      description: 'The name of the client, access key, operator token or webhook, or of what the notice is about.',
    }),
    contact_id: z.uuid().nullable().meta({
      description: 'The ID of the contact of the access key or operator token. Null: it has none, or it was deleted.',
    }),
    contact_name: z.string().nullable().meta({ description: 'The name of that contact. Null: it has none.' }),
    regeneration_id: z.uuid().nullable().meta({ description: 'The ID of the rotation. Null: it is not about one.' }),
    at: nullableTimestamp(
      'When the grace period, certificate or key ends; when a request was last rejected; when the resource server or webhook was disabled; when it was last used. Null: never.',
    ),
    sources: z
      .array(z.strictObject(placeFields))
      .meta({ description: 'Up to three of the sources that are rejected, or have not moved; the latest first.' }),
    source_count: z.int().meta({ description: 'How many such sources there are.' }),
    moved_count: z.int().nullable().meta({ description: 'How many sources have moved. Null: it is not a rotation.' }),
    requests: z.int().meta({ description: 'How many requests were rejected.' }),
    message: z.string().meta({ description: 'What needs attention, as an English sentence.' }),
    next_step: z.string().meta({ description: 'What to do next, as an English sentence.' }),
  })
  .meta({ id: 'AttentionItem', description: 'A client or an access key that needs attention, and why.' });

export const attentionSchema = z
  .strictObject({
    checked_at: timestamp('When this was determined'),
    urgency: z
      .enum([...urgencies, 'none'])
      .meta({ description: 'The highest urgency among all items. `none`: nothing needs attention.' }),
    data: z.array(itemSchema).meta({ description: 'What needs attention, the most urgent first.' }),
    counts: z
      .array(
        z.strictObject({
          kind: kind.meta({ description: 'The kind.' }),
          count: z.int().meta({
            description: `How many things of this kind there are. ${maxCount} means this many or more. Of grace periods, the 50 that end soonest are counted.`,
          }),
        }),
      )
      .meta({ description: 'The number of things of each kind, without kinds that have none.' }),
    first_steps: z
      .strictObject({
        resource_server: z.boolean().meta({ description: 'Whether a resource server is registered.' }),
        integration: z.boolean().meta({ description: 'Whether an integration is registered.' }),
        token: z.boolean().meta({ description: 'Whether a token was issued.' }),
        rotation: z.boolean().meta({ description: 'Whether a credential was rotated.' }),
      })
      .meta({ description: 'Which of the first steps with a new deployment were taken.' }),
  })
  .meta({ id: 'Attention', description: 'What needs attention, and what to do next.' });

export function attentionEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/attention',
      operationId: 'listAttention',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List what needs attention, the most urgent first',
      query: attentionQuery,
      answers: { 200: attentionSchema },
      handle: async ({ operator, query: { limit } }) => {
        // The streams are those of the deployment.
        const auditStreams = operator.organizationId === null ? core.config.auditStreams : [];
        const { items, counts } = await findAttention(core.database, { ...core, auditStreams }, limit, operator);
        const steps = await findFirstSteps(core.database);
        const body: z.input<typeof attentionSchema> = {
          checked_at: new Date(core.clock()).toISOString(),
          urgency: highest(items),
          data: items.map(presentItem),
          counts,
          first_steps: {
            resource_server: steps.resourceServer,
            integration: steps.integration,
            token: steps.token,
            rotation: steps.rotation,
          },
        };
        return { status: 200, body };
      },
    }),
  ];
}

function highest(items: readonly AttentionItem[]): Urgency | 'none' {
  // Items are listed by urgency.
  return items[0]?.urgency ?? 'none';
}

function presentItem(item: AttentionItem): z.input<typeof itemSchema> {
  const { subject } = item;
  return {
    kind: item.kind,
    urgency: item.urgency,
    client_id: subject.type === 'client' ? subject.id : null,
    access_key_id: subject.type === 'access_key' ? subject.id : null,
    notice_id: subject.type === 'notice' ? subject.id : null,
    approval_id: subject.type === 'approval' ? subject.id : null,
    audit_stream: subject.type === 'audit_stream' ? subject.id : null,
    operator_token_id: subject.type === 'operator_token' ? subject.id : null,
    webhook_id: subject.type === 'webhook' ? subject.id : null,
    name: subject.name,
    contact_id: subject.contact?.id ?? null,
    contact_name: subject.contact?.name ?? null,
    regeneration_id: item.regenerationId,
    at: item.at?.toISOString() ?? null,
    sources: item.sources.map(presentPlace),
    source_count: item.sourceCount,
    moved_count: item.movedCount,
    requests: item.requests,
    message: describeAttention(item),
    next_step: nextStepOf(item),
  };
}
