import { z } from 'zod';
import { erasePerson } from '../../audit/erase-person.ts';
import { findOwnActors } from '../../audit/own-actors.ts';
import { countAuditEvents, listAuditEvents, type RecordedAuditEvent } from '../../audit/read-events.ts';
import type { Core } from '../../core.ts';
import { nameTargets } from '../../search/name-targets.ts';
import { organizationFilter } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import type { Operator } from '../operator-auth.ts';
import { countQuery, createPager, pageQuery, pageSchema } from '../paging.ts';
import { moment, text, timestamp } from '../text.ts';
import { hiddenActor } from '../within-reach.ts';

const changedFields = z.record(z.string(), z.unknown().meta({ description: 'The value of the field.' }));

export const eventSchema = z
  .strictObject({
    id: z.int().meta({ description: 'The number of the event in the audit log.' }),
    at: timestamp('When it happened'),
    actor: z.string().meta({
      description:
        'The ID of the contact who did it, the Client ID of a client that rotated itself, or `cli:` and the name of a system user.',
    }),
    actor_name: z.string().meta({ description: 'The name of the actor at that time.' }),
    address: z.string().nullable().meta({ description: 'The IP address of the actor.' }),
    action: z.string().meta({ description: 'What was done.', example: 'client.disable' }),
    target_type: z.string().meta({ description: 'The kind of thing that it was done to.', example: 'client' }),
    target: z.string().meta({ description: 'The ID of the thing that it was done to.' }),
    target_name: z.string().nullable().meta({
      description: 'The current name of that client, access key or contact. Null: it has none, or was deleted.',
    }),
    organization_id: z.uuid().nullable().meta({
      description: 'The ID of the organization that it is about. Null: the deployment itself.',
    }),
    before: changedFields.nullable().meta({ description: 'The changed fields before the event.' }),
    after: changedFields.nullable().meta({ description: 'The changed fields after the event.' }),
    erased: z.boolean().meta({
      description: 'Whether personal values of the event were erased. They are the text `erased`.',
    }),
  })
  .meta({ id: 'AuditEvent', description: 'Something that was done or rejected.' });

const erasureSchema = z
  .strictObject({
    contact_id: z.uuid().meta({ description: 'The ID of the deleted contact.' }),
    erased_events: z.int().meta({ description: 'The number of events whose values were erased now.' }),
    kept_events: z.int().meta({
      description:
        'The number of events about this contact or by it that an earlier version of Keyturn has written. Their values cannot be erased.',
    }),
    archived_until: z.int().nullable().meta({
      description:
        'The number of the last event that was archived to a file. Values in files are not erased. Null: no event was archived.',
    }),
  })
  .meta({ id: 'AuditErasure', description: 'The result of erasing the personal values of a contact.' });

const auditQuery = z.strictObject({
  ...pageQuery,
  ...countQuery,
  order: z.enum(['-at', 'at']).default('-at').meta({ description: 'The order: by time. `-` stands for latest first.' }),
  actor: text(200).optional().meta({ description: 'Only events of the actor with this ID.' }),
  action: text(200).optional().meta({ description: 'Only events with this action.', example: 'client.disable' }),
  target: text(200).optional().meta({ description: 'Only events about the thing with this ID.' }),
  organization_id: organizationFilter.meta({
    description: 'Only events about this organization and what belongs to it.',
  }),
  since: moment.optional().meta({ description: 'Only events at or after this time (RFC 3339).' }),
  until: moment.optional().meta({ description: 'Only events before this time (RFC 3339).' }),
});

export function auditEndpoints(core: Core): Endpoint[] {
  const position = z.strictObject({ at: z.iso.datetime(), id: z.int() });
  const pagers = {
    '-at': createPager(core.keyRing, 'audit-events', position),
    at: createPager(core.keyRing, 'audit-events at', position),
  };

  /** Returns an actor that a list may be filtered by. People of an organization do not learn who else has acted. */
  async function knownActor({ organizationId }: Operator, actor: string): Promise<string> {
    if (organizationId === null) return actor;
    const { ids } = await findOwnActors(core.database, { ids: [actor], names: [] });
    return ids.has(actor) ? actor : hiddenActor;
  }

  return [
    endpoint({
      method: 'get',
      path: '/audit-events',
      operationId: 'listAuditEvents',
      permission: 'audit:view',
      reach: 'organization',
      summary: 'List audit events, by default newest first',
      query: auditQuery,
      answers: { 200: pageSchema(eventSchema) },
      handle: async ({ operator, query }) => {
        const { cursor, limit, order: sort, count, organization_id: organizationId, ...given } = query;
        const actor = given.actor && (await knownActor(operator, given.actor));
        const filter = { ...given, actor, organizationId };
        const pager = pagers[sort];
        const page = { limit, ...pager.open(cursor) };
        const [after, before] = [page.after, page.before].map(
          (event) => event && { at: new Date(event.at), seq: event.id },
        );
        const rows = await listAuditEvents(core.database, { ...filter, sort, limit, after, before });
        const targets = rows.map(({ target }) => target);
        const names = await nameTargets(core.database, [...new Set(targets)]);
        return pager.answer(
          rows,
          page,
          (event) => presentEvent(event, names.get(event.target)),
          ({ at, seq }) => ({ at: at.toISOString(), id: seq }),
          count && (await countAuditEvents(core.database, filter)),
        );
      },
    }),
    endpoint({
      method: 'post',
      path: '/audit-events/erase',
      operationId: 'eraseAuditEvents',
      permission: 'contacts:manage',
      asksProof: true,
      approval: { act: 'erase', of: 'deleted_contact' },
      summary: 'Erase the personal values of a deleted contact in the audit log. This cannot be undone',
      body: z.strictObject({ contact_id: z.uuid().meta({ description: 'The ID of the deleted contact.' }) }),
      example: { contact_id: '5b1e7c3a-90d4-4c1e-8f27-6a0d2b9c4e18' },
      answers: { 200: erasureSchema },
      problems: [404, 409],
      handle: async ({ operator, body: { contact_id: id } }) => {
        const result = await core.change((transaction) => erasePerson(transaction, core, operator, id));
        const { erased, kept, archivedUntil } = result;
        const body = { contact_id: id, erased_events: erased, kept_events: kept, archived_until: archivedUntil };
        return { status: 200, body };
      },
    }),
  ];
}

function presentEvent(event: RecordedAuditEvent, targetName: string | undefined): z.input<typeof eventSchema> {
  return {
    id: event.seq,
    at: event.at.toISOString(),
    actor: event.actor,
    actor_name: event.actor_name,
    address: event.address,
    action: event.action,
    target_type: event.target_type,
    target: event.target,
    target_name: targetName ?? null,
    organization_id: event.organization,
    before: (event.before as Record<string, unknown> | null) ?? null,
    after: (event.after as Record<string, unknown> | null) ?? null,
    erased: event.erased,
  };
}
