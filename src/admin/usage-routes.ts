import { z } from 'zod';
import { findKnownClient } from '../clients/client-store.ts';
import type { Core } from '../core.ts';
import { NotFound } from '../errors.ts';
import { reportUsage, type SecretUsage } from '../regeneration/usage-report.ts';
import { clientParams } from './client-routes.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { timestamp } from './text.ts';

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

const usageSchema = z
  .strictObject({
    client_id: z.string(),
    since: timestamp,
    until: timestamp,
    secrets: z.array(
      z.strictObject({
        hint: z.string(),
        client_id: z.string(),
        status: z.enum(['current', 'retiring', 'ended', 'undone']),
        created_at: timestamp,
        retires_at: timestamp.nullable(),
        ...counts,
      }),
    ),
    without_secret: z.strictObject(counts).meta({ description: 'What was tried without any of its secrets' }),
  })
  .meta({ id: 'ClientUsage' });

export function usageEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/clients/{client_id}/usage',
      permission: 'integrations:view',
      summary: 'Tokens issued and refused, by the hour and by the secret',
      params: clientParams,
      query: usageQuery,
      answers: { 200: usageSchema },
      handle: async ({ params, query }) => {
        const known = await findKnownClient(core.database, params.client_id);
        if (!known) throw new NotFound('client');
        const { client } = known;
        await core.usage.flush();
        const report = await reportUsage(core.database, core, { kind: 'client', id: client.id }, query.hours);
        const body: z.input<typeof usageSchema> = {
          client_id: client.clientId,
          since: report.since.toISOString(),
          until: report.until.toISOString(),
          secrets: report.secrets.map(({ secret, status, ...usage }) => ({
            hint: `…${secret.hint}`,
            client_id: secret.clientId ?? client.clientId,
            status,
            created_at: secret.createdAt.toISOString(),
            retires_at: secret.retiresAt?.toISOString() ?? null,
            ...presentUsage(usage),
          })),
          without_secret: presentUsage(report.withoutSecret),
        };
        return { status: 200, body };
      },
    }),
  ];
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
