import { z } from 'zod';
import { holdOrganizations } from '../../clients/hold-organizations.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import type { Queryable } from '../../storage/database.ts';
import { deploymentOrganization } from '../../storage/organization-limit.ts';
import { createWebhook, deleteWebhook, setWebhookEnabled, updateWebhook } from '../../webhooks/manage-webhooks.ts';
import type { Webhook } from '../../webhooks/webhook.ts';
import { findWebhook, findWebhookSecrets, listWebhooks } from '../../webhooks/webhook-store.ts';
import { givenOrganization, organizationFilter } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { organizationFor } from '../operator-auth.ts';
import { createPager, pageQuery, pageSchema } from '../paging.ts';
import { etagOf } from '../presenters/present-client.ts';
import {
  createdWebhookSchema,
  presentWebhook,
  webhookKinds,
  webhookSchema,
  webhookUrl,
} from '../presenters/present-webhook.ts';
import { text } from '../text.ts';

export const webhookParams = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the webhook.' }) });
export const givenWebhook = {
  name: text(200).meta({ description: 'The name of the webhook.' }),
  url: webhookUrl,
  kinds: webhookKinds.optional(),
};

/** Endpoints that manage webhooks: who receives events over HTTP. */
export function webhookEndpoints(core: Core): Endpoint[] {
  const listPager = createPager(
    core.keyRing,
    'webhooks',
    z.strictObject({ created_at: z.iso.datetime().transform((at) => new Date(at)), id: z.uuid() }),
  );
  const deps = { ...core, webhookNetworks: core.config.webhookNetworks };

  const present = async (database: Queryable, webhook: Webhook) =>
    presentWebhook(webhook, await findWebhookSecrets(database, webhook.id, new Date(core.clock())));

  const acts = [
    {
      path: 'enable',
      disabledAs: null,
      summary: 'Enable a webhook. Events of the meantime are delivered only by a replay',
    },
    { path: 'disable', disabledAs: 'operator', summary: 'Disable a webhook. Nothing is delivered until it is enabled' },
  ] as const;
  return [
    endpoint({
      method: 'post',
      path: '/webhooks',
      operationId: 'createWebhook',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Create a webhook, to which events are sent, and its signing secret',
      body: z.strictObject({ ...givenWebhook, organization_id: givenOrganization }),
      example: { name: 'Chat', url: 'https://hooks.example.com/keyturn', kinds: ['grace_period_reminder'] },
      idempotent: true,
      answers: { 201: createdWebhookSchema },
      problems: [409],
      handle: ({ operator, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const asked = organizationFor(operator, body.organization_id) ?? deploymentOrganization;
          const organizationId = (await holdOrganizations(transaction, [asked]))(asked).id;
          const created = await createWebhook(transaction, deps, operator, {
            name: body.name,
            url: body.url,
            kinds: body.kinds,
            organizationId,
          });
          const { webhook, signingSecret: secret } = created;
          return {
            status: 201,
            headers: { Location: `/admin/v1/webhooks/${webhook.id}`, ETag: etagOf(webhook) },
            secretOf: { targetType: 'webhook', target: webhook.id },
            body: { ...(await present(transaction, webhook)), signing_secret: secret },
          };
        }),
    }),
    endpoint({
      method: 'get',
      path: '/webhooks',
      operationId: 'listWebhooks',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List webhooks, newest first',
      query: z.strictObject({ ...pageQuery, organization_id: organizationFilter }),
      answers: { 200: pageSchema(webhookSchema) },
      handle: async ({ query: { limit, cursor, organization_id: organizationId } }) => {
        const page = { limit, ...listPager.open(cursor) };
        const after = page.after && { createdAt: page.after.created_at, id: page.after.id };
        const rows = await listWebhooks(core.database, { organizationId, limit, after });
        const shown = await Promise.all(rows.map(async (row) => ({ row, body: await present(core.database, row) })));
        return listPager.answer(
          shown,
          page,
          ({ body }) => body,
          ({ row }) => ({ created_at: row.createdAt.toISOString(), id: row.id }),
        );
      },
    }),
    endpoint({
      method: 'get',
      path: '/webhooks/{id}',
      operationId: 'getWebhook',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get a webhook',
      params: webhookParams,
      answers: { 200: webhookSchema },
      handle: async ({ params: { id } }) => showWebhook(core, core.database, await requireWebhook(core.database, id)),
    }),
    endpoint({
      method: 'patch',
      path: '/webhooks/{id}',
      operationId: 'updateWebhook',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Change a webhook. Only the fields that are sent change',
      params: webhookParams,
      body: z.strictObject(givenWebhook).partial(),
      example: { kinds: ['grace_period_reminder', 'credential_expiring'] },
      conditional: true,
      answers: { 200: webhookSchema },
      handle: ({ operator, params: { id }, body, expectedRevisions }) =>
        core.change(async (transaction) =>
          showWebhook(core, transaction, await updateWebhook(transaction, deps, operator, id, body, expectedRevisions)),
        ),
    }),
    endpoint({
      method: 'delete',
      path: '/webhooks/{id}',
      operationId: 'deleteWebhook',
      permission: 'api_key:manage',
      reach: 'organization',
      summary: 'Delete a webhook with its signing secrets',
      params: webhookParams,
      answers: { 204: null },
      handle: async ({ operator, params: { id } }) => {
        await core.change((transaction) => deleteWebhook(transaction, core, operator, id));
        return { status: 204 };
      },
    }),
    ...acts.map(({ path, disabledAs, summary }) =>
      endpoint({
        method: 'post',
        path: `/webhooks/{id}/${path}`,
        operationId: `${path}Webhook`,
        permission: 'api_key:manage',
        reach: 'organization',
        summary,
        params: webhookParams,
        answers: { 200: webhookSchema },
        handle: ({ operator, params: { id } }) =>
          core.change(async (transaction) =>
            showWebhook(core, transaction, await setWebhookEnabled(transaction, core, operator, id, disabledAs)),
          ),
      }),
    ),
  ];
}

/** @throws {NotFound} */
export async function requireWebhook(database: Queryable, id: string): Promise<Webhook> {
  const webhook = await findWebhook(database, id);
  if (!webhook) throw new NotFound('webhook');
  return webhook;
}

/** Answers with a webhook and its revision. */
export async function showWebhook(core: Core, database: Queryable, webhook: Webhook): Promise<Answer> {
  const secrets = await findWebhookSecrets(database, webhook.id, new Date(core.clock()));
  return { status: 200, headers: { ETag: etagOf(webhook) }, body: presentWebhook(webhook, secrets) };
}
