import { z } from 'zod';
import { listAuditEvents, type RecordedAuditEvent } from '../../audit/audit-log.ts';
import type { Core } from '../../core.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { createPager, pageQuery, pageSchema } from '../page.ts';
import { moment, text, timestamp } from '../text.ts';

export const eventSchema = z
  .strictObject({
    id: z.int(),
    at: timestamp,
    actor: z.string().meta({ description: "A contact's id, or `cli:` and a system user" }),
    actor_name: z.string(),
    address: z.string().nullable(),
    action: z.string().meta({ example: 'client.disable' }),
    target_type: z.string(),
    target: z.string(),
    before: z.record(z.string(), z.unknown()).nullable(),
    after: z.record(z.string(), z.unknown()).nullable(),
  })
  .meta({ id: 'AuditEvent' });

const auditQuery = z.strictObject({
  ...pageQuery,
  actor: text(200).optional(),
  action: text(200).optional(),
  target: text(200).optional(),
  since: moment.optional().meta({ description: 'Not before' }),
  until: moment.optional().meta({ description: 'Before' }),
});

export function auditEndpoints(core: Core): Endpoint[] {
  const pager = createPager(core.keyRing, 'audit-events', z.strictObject({ at: z.iso.datetime(), id: z.int() }));

  return [
    endpoint({
      method: 'get',
      path: '/audit-events',
      permission: 'audit:view',
      summary: 'List what was done, newest first',
      query: auditQuery,
      answers: { 200: pageSchema(eventSchema) },
      handle: async ({ query: { cursor, limit, ...filter } }) => {
        const last = pager.open(cursor);
        const after = last && { at: new Date(last.at), seq: last.id };
        const rows = await listAuditEvents(core.database, { ...filter, limit, after });
        return pager.answer(rows, limit, presentEvent, ({ at, seq }) => ({ at: at.toISOString(), id: seq }));
      },
    }),
  ];
}

function presentEvent(event: RecordedAuditEvent): z.input<typeof eventSchema> {
  return {
    id: event.seq,
    at: event.at.toISOString(),
    actor: event.actor,
    actor_name: event.actor_name,
    address: event.address,
    action: event.action,
    target_type: event.target_type,
    target: event.target,
    before: (event.before as Record<string, unknown> | null) ?? null,
    after: (event.after as Record<string, unknown> | null) ?? null,
  };
}
