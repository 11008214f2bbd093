import { z } from 'zod';
import { findKnownAccessKey } from '../../access-keys/access-key-store.ts';
import { findKnownClient } from '../../clients/client-store.ts';
import type { Core } from '../../core.ts';
import { shownHint } from '../../credentials/secret.ts';
import { NotFound } from '../../errors.ts';
import type { OwnerRef } from '../../secrets/secret-store.ts';
import { reportUsage, type SecretUsage, type UsageReport } from '../../usage/usage-report.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { timestamp } from '../text.ts';
import { accessKeyParams } from './access-key-routes.ts';
import { clientParams } from './client-routes.ts';

const maxHours = 720;

const usageQuery = z.strictObject({
  hours: z
    .string()
    .regex(/^\d{1,3}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.number().min(1).max(maxHours))
    .default(24)
    .meta({ description: 'How far back', override: { type: 'integer', minimum: 1, maximum: maxHours, default: 24 } }),
});

const counts = {
  issued: z.int(),
  used: z.int().meta({ description: 'For other than a token: introspection, revocation, events' }),
  refused: z.record(z.string(), z.int()).meta({ description: 'By reason' }),
  per_hour: z.array(z.strictObject({ starts_at: timestamp, issued: z.int(), used: z.int(), refused: z.int() })),
  sources: z.array(
    z.strictObject({
      address: z.string(),
      user_agent: z.string(),
      last_used_at: timestamp.nullable(),
      tokens_24h: z.int(),
      refused: z.int(),
      refused_at: timestamp.nullable(),
      refused_as: z.string().nullable(),
    }),
  ),
};

const secretFields = {
  hint: z.string(),
  status: z.enum(['current', 'retiring', 'ended', 'undone']),
  created_at: timestamp,
  retires_at: timestamp.nullable(),
  ...counts,
};

const reportFields = {
  since: timestamp,
  until: timestamp,
  without_secret: z.strictObject(counts).meta({ description: 'What was tried without any of its secrets' }),
};

export const clientUsageSchema = z
  .strictObject({
    client_id: z.string(),
    ...reportFields,
    secrets: z.array(z.strictObject({ client_id: z.string(), ...secretFields })),
  })
  .meta({ id: 'ClientUsage' });

export const accessKeyUsageSchema = z
  .strictObject({ id: z.uuid(), ...reportFields, secrets: z.array(z.strictObject(secretFields)) })
  .meta({ id: 'AccessKeyUsage' });

export function usageEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/clients/{client_id}/usage',
      permission: 'integrations:view',
      summary: 'Tokens issued and refused, by the hour and by the secret',
      params: clientParams,
      query: usageQuery,
      answers: { 200: clientUsageSchema },
      handle: async ({ params, query }) => {
        const known = await findKnownClient(core.database, params.client_id);
        if (!known) throw new NotFound('client');
        const { client } = known;
        const report = await reportNow(core, { kind: 'client', id: client.id }, query.hours);
        const body: z.input<typeof clientUsageSchema> = {
          client_id: client.clientId,
          ...presentReport(report),
          secrets: report.secrets.map((used) => ({
            client_id: used.secret.clientId ?? client.clientId,
            ...presentSecret(used),
          })),
        };
        return { status: 200, body };
      },
    }),
    endpoint({
      method: 'get',
      path: '/access-keys/{id}/usage',
      permission: 'integrations:view',
      summary: 'Tokens issued and refused, by the hour and by the value of the key',
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
async function reportNow(core: Core, owner: OwnerRef, hours: number): Promise<UsageReport> {
  await core.usage.flush();
  return await reportUsage(core.database, core, owner, hours);
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
      address: source.address,
      user_agent: source.userAgent,
      last_used_at: source.lastUsedAt?.toISOString() ?? null,
      tokens_24h: source.issued24h,
      refused: source.refused,
      refused_at: source.refusedAt?.toISOString() ?? null,
      refused_as: source.refusedAs,
    })),
  };
}
