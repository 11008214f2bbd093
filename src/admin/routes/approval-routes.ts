import { z } from 'zod';
import { type Approval, approvalActs, approvalStates, stateAt } from '../../approvals/approval.ts';
import { findApproval, listApprovals } from '../../approvals/approval-store.ts';
import { findSubject } from '../../approvals/approval-subject.ts';
import { decide, expireApprovals, explainRequest, maySee } from '../../approvals/manage-approvals.ts';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { createPager, pageQuery, pageSchema } from '../paging.ts';
import { nullableTimestamp, text, timestamp } from '../text.ts';

const params = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the request.' }) });
const reason = text(500).meta({ description: 'Why the act is needed.', example: 'The partner has lost the secret.' });
const note = text(500).optional().meta({ description: 'What the requester should know about the decision.' });
const state = z.enum(approvalStates);
const position = z.strictObject({ at: z.iso.datetime().transform((at) => new Date(at)), id: z.uuid() });

/** Endpoints of requests for the approval of a second person. An act that needs one makes the request. */
export function approvalEndpoints(core: Core): Endpoint[] {
  const pager = createPager(core.keyRing, 'approvals', position);
  const show = async (approval: Approval) => {
    const subject = await findSubject(core.database, approval.subject, core.clock());
    const impact = {
      last_used_at: subject?.lastUsedAt?.toISOString() ?? null,
      generated_at: subject?.generatedAt?.toISOString() ?? null,
      sources: subject?.sources ?? 0,
      clients: subject?.clients ?? 0,
      access_keys: subject?.accessKeys ?? 0,
      contacts: subject?.contacts ?? 0,
    };
    return { status: 200, body: { ...present(approval, core.clock()), impact } };
  };

  return [
    endpoint({
      method: 'get',
      path: '/approvals',
      operationId: 'listApprovals',
      permission: null,
      reach: 'organization',
      summary:
        'List requests for approval, newest first: your own, and those that your permissions allow you to approve',
      query: z.strictObject({
        ...pageQuery,
        state: state.optional().meta({ description: 'Only requests in this state.' }),
        subject: text(200).optional().meta({ description: 'Only requests about the thing with this ID.' }),
      }),
      answers: { 200: pageSchema(approvalSchema) },
      handle: async ({ operator, query: { cursor, limit, ...filter } }) => {
        await expireApprovals(core);
        const page = { limit, ...pager.open(cursor) };
        const rows = await listApprovals(core.database, operator, { ...filter, ...page });
        return pager.answer(
          rows,
          page,
          (approval) => present(approval, core.clock()),
          ({ createdAt, id }) => ({ at: createdAt.toISOString(), id }),
        );
      },
    }),
    endpoint({
      method: 'get',
      path: '/approvals/{id}',
      operationId: 'getApproval',
      permission: null,
      reach: 'organization',
      summary: 'Get a request for approval, with what the act would affect',
      params,
      answers: { 200: detailSchema },
      handle: async ({ operator, params: { id } }) => {
        const approval = await findApproval(core.database, id);
        if (!approval || !maySee(operator, approval)) throw new NotFound('approval');
        return await show(approval);
      },
    }),
    endpoint({
      method: 'patch',
      path: '/approvals/{id}',
      operationId: 'explainApproval',
      permission: null,
      reach: 'organization',
      summary: 'Say why you request the act',
      params,
      body: z.strictObject({ reason }),
      answers: { 200: detailSchema },
      problems: [409],
      handle: async ({ operator, params: { id }, body }) =>
        await show(await core.change((transaction) => explainRequest(transaction, core, operator, id, body.reason))),
    }),
    ...(['approve', 'refuse'] as const).map((verb) =>
      endpoint({
        method: 'post',
        path: `/approvals/{id}/${verb}`,
        operationId: verb === 'approve' ? 'approveRequest' : 'refuseRequest',
        permission: null,
        reach: 'organization',
        asksProof: true,
        summary:
          verb === 'approve'
            ? 'Approve the request of another person. They can then carry it out once, within 24 hours'
            : 'Refuse a request, or withdraw your own',
        params,
        body: z.strictObject({ note }),
        answers: { 200: detailSchema },
        problems: [409],
        handle: async ({ operator, params: { id }, body }) => {
          const decision = {
            id,
            verdict: verb === 'approve' ? 'approved' : 'refused',
            note: body.note ?? null,
          } as const;
          return await show(await core.change((transaction) => decide(transaction, core, operator, decision)));
        },
      }),
    ),
  ];
}

const fields = {
  id: z.uuid().meta({ description: 'The ID of the request.' }),
  act: z.enum(approvalActs).meta({ description: 'What needs approval.' }),
  request: z.string().meta({ description: 'The endpoint or the command.', example: 'DELETE /clients/{client_id}' }),
  subject: z
    .strictObject({
      type: z
        .enum(['client', 'access_key', 'contact', 'organization', 'deleted_contact', 'root_key'])
        .meta({ description: 'What kind of thing it is.' }),
      id: z.string().meta({ description: 'Its ID; the Client ID of a client.' }),
      name: z.string().meta({ description: 'Its name at the time of the request.' }),
    })
    .meta({ description: 'What the act is about.' }),
  permission: z.enum(permissions).meta({ description: 'The permission that the act and its approval need.' }),
  body: z.record(z.string(), z.unknown()).meta({ description: 'The body of the request that would be carried out.' }),
  state: state.meta({
    description:
      '`pending`: waits for a second person; `approved`: the requester can carry it out once; `used`: it was carried out.',
  }),
  requester_id: z.string().meta({ description: 'Who requested it.' }),
  requested_by: z.string().meta({ description: 'The name of the requester.' }),
  reason: z.string().nullable().meta({ description: 'Why it is needed. Null: not given.' }),
  decided_by: z.string().nullable().meta({ description: 'Who approved, refused or withdrew it. Null: nobody yet.' }),
  note: z.string().nullable().meta({ description: 'What that person says about it.' }),
  created_at: timestamp('When it was requested'),
  decided_at: nullableTimestamp('When it was decided. Null: not yet.'),
  used_at: nullableTimestamp('When it was carried out. Null: not yet.'),
  expires_at: timestamp('When the request or the approval expires'),
};

export const approvalSchema = z
  .strictObject(fields)
  .meta({ id: 'Approval', description: 'A request for the approval of a second person.' });

const detailSchema = z
  .strictObject({
    ...fields,
    impact: z
      .strictObject({
        last_used_at: nullableTimestamp('When the thing was last used. Null: never, or it is not used itself.'),
        generated_at: nullableTimestamp('When its current secret was generated. Null: it has none.'),
        sources: z.int().meta({ description: 'The number of sources that used it in the last 30 days.' }),
        clients: z.int().meta({ description: 'The number of clients that belong to it.' }),
        access_keys: z.int().meta({ description: 'The number of access keys that belong to it.' }),
        contacts: z.int().meta({ description: 'The number of contacts that belong to it.' }),
      })
      .meta({ description: 'What the act would affect, as it is now.' }),
  })
  .meta({ id: 'ApprovalDetail', description: 'A request for approval, with what the act would affect.' });

export type ShownApprovalDetail = z.input<typeof detailSchema>;

function present(approval: Approval, now: number): z.input<typeof approvalSchema> {
  return {
    id: approval.id,
    act: approval.act,
    request: approval.route,
    subject: { ...approval.subject, name: approval.subjectName },
    permission: approval.permission,
    body: approval.body,
    state: stateAt(approval, now),
    requester_id: approval.requester,
    requested_by: approval.requesterName,
    reason: approval.reason,
    decided_by: approval.decidedName,
    note: approval.note,
    created_at: approval.createdAt.toISOString(),
    decided_at: approval.decidedAt?.toISOString() ?? null,
    used_at: approval.usedAt?.toISOString() ?? null,
    expires_at: approval.endsAt.toISOString(),
  };
}
