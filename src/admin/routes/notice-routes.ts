import { z } from 'zod';
import type { Core } from '../../core.ts';
import {
  deliveryStates,
  type ListedNotice,
  listNotices,
  requireNotice,
  retryNotice,
} from '../../notices/list-notices.ts';
import { type NoticeKind, noticeKinds } from '../../notices/notice.ts';
import { describeNotice } from '../../notices/notice-text.ts';
import { organizationFilter } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { createPager, pageQuery, pageSchema } from '../paging.ts';
import { nullableTimestamp, text, timestamp } from '../text.ts';

const params = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the notice.' }) });
const kind = z.enum(Object.keys(noticeKinds) as [NoticeKind, ...NoticeKind[]]);
const state = z.enum(deliveryStates);

const deliverySchema = z
  .strictObject({
    channel: z.string().meta({
      description:
        'How it is delivered: `mail`, `code` (a mail with the code of a hand-over), `mail_link` (a mail with sign-in links) or `webhook`.',
    }),
    receiver_id: z
      .string()
      .meta({ description: 'The ID of the receiver: of the contact for `mail`; the e-mail address for `mail_link`.' }),
    receiver_name: z.string().meta({ description: 'The name of the receiver.' }),
    state: state.meta({
      description:
        '`pending`: it is or will be tried; `delivered`: the receiver has accepted it; `skipped`: the receiver was removed, or no longer wants it; `parked`: it failed for three days or was refused, and is not tried again.',
    }),
    attempts: z.int().meta({ description: 'How often it was tried.' }),
    reason: z.string().nullable().meta({ description: 'Why it failed last, or was skipped. Null: neither.' }),
    next_at: nullableTimestamp('When it is tried next (RFC 3339). Null: it is not.'),
    settled_at: nullableTimestamp('When it was delivered, skipped or parked (RFC 3339). Null: it is pending.'),
  })
  .meta({ id: 'NoticeDelivery', description: 'The delivery of a notice to one receiver.' });

export const noticeSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the notice. It is the same in every delivery.' }),
    kind: kind.meta({ description: 'The kind.' }),
    at: timestamp('When it happened'),
    organization_id: z.uuid().meta({ description: 'The ID of the organization of the thing that it is about.' }),
    subject: z
      .strictObject({
        type: z.string().meta({ description: 'The kind of thing, such as `client`.' }),
        id: z.string().meta({ description: 'The Client ID, or the ID of another thing.' }),
        name: z.string().meta({ description: 'The name of the thing at that time.' }),
      })
      .meta({ description: 'What it is about.' }),
    title: z.string().meta({ description: 'What it says, as an English line.' }),
    message: z.string().meta({ description: 'The details, as English sentences.' }),
    next_step: z.string().nullable().meta({ description: 'What to do, as an English sentence. Null: nothing.' }),
    data: z
      .record(z.string(), z.unknown().meta({ description: 'The value of the member.' }))
      .meta({ description: 'The details for programs. Which members it has depends on the kind.' }),
    deliveries: z.array(deliverySchema).meta({ description: 'Its deliveries, one for each receiver.' }),
  })
  .meta({ id: 'Notice', description: 'A notice to people and programs.' });

export function noticeEndpoints(core: Core): Endpoint[] {
  const pager = createPager(core.keyRing, 'notices', z.strictObject({ seq: z.int() }));
  return [
    endpoint({
      method: 'get',
      path: '/notices',
      operationId: 'listNotices',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List notices with their deliveries, newest first',
      query: z.strictObject({
        ...pageQuery,
        kind: kind.optional().meta({ description: 'Only notices of this kind.' }),
        state: state.optional().meta({ description: 'Only notices with a delivery in this state.' }),
        subject: text(200).optional().meta({ description: 'Only notices about the thing with this ID.' }),
        organization_id: organizationFilter,
      }),
      answers: { 200: pageSchema(noticeSchema) },
      handle: async ({ query: { cursor, limit, organization_id: organizationId, ...filter } }) => {
        const page = { limit, ...pager.open(cursor) };
        const slice = { limit, after: page.after?.seq, before: page.before?.seq };
        const rows = await listNotices(core.database, { ...filter, organizationId, ...slice });
        return pager.answer(rows, page, presentNotice, ({ seq }) => ({ seq }));
      },
    }),
    endpoint({
      method: 'get',
      path: '/notices/{id}',
      operationId: 'getNotice',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get a notice with its deliveries',
      params,
      answers: { 200: noticeSchema },
      handle: async ({ params: { id } }) => ({
        status: 200,
        body: presentNotice(await requireNotice(core.database, id)),
      }),
    }),
    endpoint({
      method: 'post',
      path: '/notices/{id}/retry',
      operationId: 'retryNotice',
      permission: 'integrations:edit',
      reach: 'organization',
      summary: 'Try the parked deliveries of a notice again',
      params,
      answers: { 200: noticeSchema },
      problems: [409],
      handle: async ({ params: { id } }) => ({
        status: 200,
        body: await core.change(async (transaction) =>
          presentNotice(await retryNotice(transaction, id, new Date(core.clock()))),
        ),
      }),
    }),
  ];
}

function presentNotice(notice: ListedNotice): z.input<typeof noticeSchema> {
  const { title, message, step } = describeNotice(notice, 'en');
  return {
    id: notice.id,
    kind: notice.kind,
    at: notice.at.toISOString(),
    organization_id: notice.organizationId,
    subject: notice.subject,
    title,
    message,
    next_step: step,
    data: notice.data,
    deliveries: notice.deliveries.map((each) => ({
      channel: each.channel,
      receiver_id: each.receiver,
      receiver_name: each.receiverName,
      state: each.state,
      attempts: each.attempts,
      reason: each.reason,
      next_at: each.nextAt?.toISOString() ?? null,
      settled_at: each.settledAt?.toISOString() ?? null,
    })),
  };
}
