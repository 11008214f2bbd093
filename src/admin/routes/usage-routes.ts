import { z } from 'zod';
import { findKnownAccessKey } from '../../access-keys/access-key-store.ts';
import { asSecretOwner, findKnownClient } from '../../clients/client-store.ts';
import { deprecatedScopes } from '../../clients/offered-scopes.ts';
import { findUseOfScopes, presentScopeUse } from '../../clients/review-scopes.ts';
import type { Core } from '../../core.ts';
import { type Secret, shownHint } from '../../credentials/secret.ts';
import { NotFound } from '../../errors.ts';
import { firstKeyCredential } from '../../secrets/manage-secrets.ts';
import type { OwnerRef } from '../../secrets/secret-store.ts';
import { reportUsage, type SecretUsage, type UsageReport } from '../../usage/usage-report.ts';
import { presentPlace } from '../../usage/usage-source.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { keyFields } from '../presenters/present-client.ts';
import { placeFields } from '../presenters/present-regeneration.ts';
import { scopeUsage } from '../scope-schemas.ts';
import { hint, nullableTimestamp, queryNumber, timestamp } from '../text.ts';
import { accessKeyParams } from './access-key-routes.ts';
import { clientParams } from './client-routes.ts';

const maxHours = 720;

const usageQuery = z.strictObject({
  hours: queryNumber(maxHours, 24, 'The length of the period until now, in hours.'),
});

const counts = {
  issued: z.int().meta({ description: 'How many tokens were issued.' }),
  used: z.int().meta({ description: 'How many other requests succeeded: introspection, revocation and events.' }),
  refused: z
    .record(z.string(), z.int())
    .meta({ description: 'How many requests were rejected, by reason.', example: { wrong_secret: 3 } }),
  per_hour: z
    .array(
      z.strictObject({
        starts_at: timestamp('The start of the hour'),
        issued: z.int().meta({ description: 'How many tokens were issued in this hour.' }),
        used: z.int().meta({ description: 'How many other requests succeeded in this hour.' }),
        refused: z.int().meta({ description: 'How many requests were rejected in this hour.' }),
      }),
    )
    .meta({ description: 'The counts of each hour that had requests.' }),
  sources: z
    .array(
      z.strictObject({
        ...placeFields,
        last_used_at: nullableTimestamp('When a request of the source last succeeded. Null: never.'),
        tokens_24h: z.int().meta({ description: 'How many tokens the source got in the last 24 hours.' }),
        refused: z.int().meta({ description: 'How many requests of the source were rejected.' }),
        refused_at: nullableTimestamp('When a request of the source was last rejected. Null: never.'),
        refused_as: z.string().nullable().meta({ description: 'The reason of the last rejection.' }),
      }),
    )
    .meta({ description: 'Where the requests came from.' }),
};

const secretFields = {
  hint,
  status: z.enum(['current', 'retiring', 'ended', 'undone']).meta({
    description: '`retiring`: the previous secret, in its grace period. `ended` and `undone`: it no longer works.',
  }),
  created_at: timestamp('When the secret was created'),
  retires_at: nullableTimestamp('When the secret stops or stopped working. Null: it does not expire.'),
  ...counts,
};

const reportFields = {
  since: timestamp('The start of the period'),
  until: timestamp('The end of the period'),
  without_secret: z.strictObject(counts).meta({ description: 'Requests that used none of the secrets.' }),
};

export const clientUsageSchema = z
  .strictObject({
    client_id: z.string().meta({ description: 'The Client ID.' }),
    ...reportFields,
    secrets: z
      .array(
        z.strictObject({
          client_id: z.string().meta({ description: 'The Client ID that the secret belongs to.' }),
          ...secretFields,
        }),
      )
      .meta({ description: 'The usage of each secret.' }),
    keys: z
      .array(z.strictObject({ ...keyFields, ...counts }))
      .meta({ description: 'The usage of each key and certificate: the latest 20.' }),
  })
  .meta({ id: 'ClientUsageReport', description: 'How a client was used in a period.' });

export const accessKeyUsageSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the access key.' }),
    ...reportFields,
    secrets: z.array(z.strictObject(secretFields)).meta({ description: 'The usage of each value of the key.' }),
  })
  .meta({ id: 'AccessKeyUsageReport', description: 'How an access key was used in a period.' });

export function usageEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/clients/{client_id}/usage',
      operationId: 'getClientUsage',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get the usage of a client, by hour, secret and source',
      params: clientParams,
      query: usageQuery,
      answers: { 200: clientUsageSchema },
      handle: async ({ params, query }) => {
        const known = await findKnownClient(core.database, params.client_id);
        if (!known) throw new NotFound('client');
        const { client } = known;
        const first = firstKeyCredential(asSecretOwner(client), client.createdAt.getTime());
        const report = await reportNow(core, { kind: 'client', id: client.id }, query.hours, first);
        const body: z.input<typeof clientUsageSchema> = {
          client_id: client.clientId,
          ...presentReport(report),
          secrets: report.secrets.map((used) => ({
            client_id: used.secret.clientId ?? client.clientId,
            ...presentSecret(used),
          })),
          keys: report.keys.map(({ key, ...usage }) => ({
            type: key.kind,
            kid: key.kid,
            thumbprint: key.thumbprint,
            ...presentUsage(usage),
          })),
        };
        return { status: 200, body };
      },
    }),
    endpoint({
      method: 'get',
      path: '/clients/{client_id}/scope-usage',
      operationId: 'getScopeUsage',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get who used each declared scope of a resource server in the last 30 days',
      params: clientParams,
      answers: { 200: scopeUsage },
      handle: async ({ params }) => {
        const known = await findKnownClient(core.database, params.client_id);
        if (!known) throw new NotFound('client');
        await core.grantedScopes.flush();
        const deprecated = deprecatedScopes(known.client);
        const uses = await findUseOfScopes(core.database, known.client, core.clock());
        const scopes = uses.map((use) => ({ ...presentScopeUse(use), deprecated: deprecated.has(use.scope) }));
        return { status: 200, body: { scopes } };
      },
    }),
    endpoint({
      method: 'get',
      path: '/access-keys/{id}/usage',
      operationId: 'getAccessKeyUsage',
      permission: 'integrations:view',
      reach: 'organization',
      own: true,
      summary: 'Get the usage of an access key, by hour, value and source',
      params: accessKeyParams,
      query: usageQuery,
      answers: { 200: accessKeyUsageSchema },
      handle: async ({ params: { id }, query }) => {
        if (!(await findKnownAccessKey(core.database, id))) throw new NotFound('access key');
        const report = await reportNow(core, { kind: 'access_key', id }, query.hours);
        const body: z.input<typeof accessKeyUsageSchema> = {
          id,
          ...presentReport(report),
          secrets: report.secrets.map(presentSecret),
        };
        return { status: 200, body };
      },
    }),
  ];
}

/** Reports usage, including counts that are not yet written to the database. */
async function reportNow(core: Core, owner: OwnerRef, hours: number, first?: Secret): Promise<UsageReport> {
  await core.usage.flush();
  return await reportUsage(core.database, core, owner, hours, first);
}

function presentReport({ since, until, withoutSecret }: UsageReport) {
  return {
    since: since.toISOString(),
    until: until.toISOString(),
    without_secret: presentUsage(withoutSecret),
  };
}

function presentSecret({ secret, status, ...usage }: UsageReport['secrets'][number]) {
  return {
    hint: shownHint(secret),
    status,
    created_at: secret.createdAt.toISOString(),
    retires_at: secret.retiresAt?.toISOString() ?? null,
    ...presentUsage(usage),
  };
}

function presentUsage({ issued, used, refused, perHour, sources }: SecretUsage) {
  return {
    issued,
    used,
    refused,
    per_hour: perHour.map(({ startsAt, ...hour }) => ({ starts_at: startsAt.toISOString(), ...hour })),
    sources: sources.map((source) => ({
      ...presentPlace(source),
      last_used_at: source.lastUsedAt?.toISOString() ?? null,
      tokens_24h: source.issued24h,
      refused: source.refused,
      refused_at: source.refusedAt?.toISOString() ?? null,
      refused_as: source.refusedAs,
    })),
  };
}
