import { z } from 'zod';
import type { Core } from '../../core.ts';
import type { Registration } from '../../credentials/registration.ts';
import { findHandoversOf } from '../../handover/handover-store.ts';
import { extendRegeneration, finishRegeneration, undoRegeneration } from '../../regeneration/end-regeneration.ts';
import { markMoved, unmarkMoved } from '../../regeneration/mark-moved.ts';
import {
  type RegeneratedSecret,
  type RegenerateRequest,
  regenerateSecret,
} from '../../regeneration/regenerate-secret.ts';
import { followProgress, type RegenerationProgress } from '../../regeneration/regeneration-progress.ts';
import { listRegenerations, type Regeneration } from '../../regeneration/regeneration-store.ts';
import { presentReview, reviewRegeneration } from '../../regeneration/review.ts';
import type { SecretOwner } from '../../secrets/secret-store.ts';
import type { Queryable, Transaction } from '../../storage/database.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { createPager, pageQuery, pageSchema } from '../paging.ts';
import { presentRegeneration, regenerationSchema, reviewSchema } from '../presenters/present-regeneration.ts';
import { moment } from '../text.ts';
import { handoverEndpoints, type OwnerSubject } from './handover-routes.ts';

/** The differences between regenerating a client's secret and an access key. */
export type RegenerationSubject<
  Params extends z.ZodObject,
  Body extends z.ZodObject,
  ReviewBody extends z.ZodObject,
> = OwnerSubject<Params> & {
  /** The operation id of the endpoint that rotates. */
  rotateOperationId: string;
  /** Schema of the request body that regenerates. */
  body: Body;
  parse(body: z.output<Body>, owner: SecretOwner, transaction: Transaction): Promise<RegenerateRequest>;
  /** Schema of the request body that asks for a review. */
  reviewBody: ReviewBody;
  /** Returns what the body replaces the owner's keys, certificate or way of authentication by, if it does. */
  parseReplace(
    body: z.output<ReviewBody>,
    owner: SecretOwner,
    transaction: Transaction,
  ): Promise<Registration | undefined>;
  /** Schema of the response that contains the new plaintext secret. */
  answer: z.ZodType;
  present(owner: SecretOwner, regenerated: RegeneratedSecret): unknown;
};

/** Members of the request body that regenerates a client's secret or an access key. */
export const regenerateFields = {
  confirmation: z
    .string()
    .max(200)
    .optional()
    .meta({ description: 'The `confirmation` of a review that is at most ten minutes old.' }),
  overlap_seconds: z.int().min(0).max(2_592_000, 'must be at most 30 days (2592000 seconds)').optional().meta({
    description: 'The grace period in seconds, in which the previous secret still works. The default is 86400.',
  }),
  finish_when_unused: z.boolean().optional().meta({
    description:
      'Whether to end the grace period early, when all sources have moved: they have used the new secret, and have not used the previous one for at least a token lifetime and their longest pause between two uses, or twice that time if they have obtained fewer tokens than they held at a time; or an operator has marked them.',
  }),
  revoke_tokens: z.boolean().optional().meta({
    description: 'For a leak: whether to revoke all active tokens and the previous secret now, without a grace period.',
  }),
};

/** The actions by which an operator ends a grace period early. */
const ends = [
  {
    name: 'undo',
    act: undoRegeneration,
    summary:
      'Undo the rotation during its grace period. The previous secret is current again; the new one and its tokens are revoked',
  },
  { name: 'finish', act: finishRegeneration, summary: 'End grace period now' },
];

/** The actions by which an operator marks a source as moved, or withdraws the mark. */
const marks = [
  {
    name: 'mark-moved',
    operation: (noun: string) => `mark${noun}SourceMoved`,
    act: markMoved,
    summary:
      'Mark a source of the previous secret as moved, because it has moved or does not come back. The mark counts until the source uses the previous secret again',
  },
  {
    name: 'unmark-moved',
    operation: (noun: string) => `revoke${noun}SourceMark`,
    act: unmarkMoved,
    summary: 'Withdraw the mark of a source, which then counts as moved by what was seen of it alone',
  },
];

const placeSchema = z.strictObject({
  address: z.string().max(100).meta({ description: 'The `address` of the source.' }),
  user_agent: z.string().max(1_000).meta({ description: 'The `user_agent` of the source.' }),
  instance: z.string().max(1_000).nullish().meta({ description: 'The `instance` of the source. Null: none.' }),
});

export function regenerationEndpoints<
  Params extends z.ZodObject,
  Body extends z.ZodObject,
  ReviewBody extends z.ZodObject,
>(core: Core, subject: RegenerationSubject<Params, Body, ReviewBody>): Endpoint[] {
  const { path, noun, params: owned, permission } = subject;
  const pager = createPager(core.keyRing, `${path}/regenerations`, z.strictObject({ generation: z.int() }));
  const one = z.strictObject({
    ...owned.shape,
    regeneration_id: z.string().max(100).meta({ description: 'The ID of the regeneration.' }),
  });

  /** Changes a grace period by `act`, and returns the regeneration's new state. */
  async function changeGracePeriod(
    act: (transaction: Transaction, owner: SecretOwner) => Promise<Regeneration>,
    params: z.output<Params>,
  ) {
    await core.usage.flush();
    return await core.change(async (transaction) => {
      const owner = await subject.requireOwner(transaction, params);
      const [progress] = await followProgress(transaction, core, owner, [await act(transaction, owner)]);
      return { status: 200, body: progress && (await presenter(transaction, [progress.regeneration]))(progress) };
    });
  }

  return [
    ...handoverEndpoints(core, subject),
    endpoint({
      method: 'post',
      path: `${path}/regeneration/review`,
      operationId: `review${noun}Rotation`,
      permission,
      reach: 'organization',
      summary: 'Review the impact of a regeneration, and get the confirmation that it requires',
      params: owned,
      body: subject.reviewBody,
      example: {},
      answers: { 200: reviewSchema },
      problems: [409],
      handle: async ({ params, body }) => {
        await core.usage.flush();
        const review = await core.database.transaction(async (transaction) => {
          const owner = await subject.requireOwner(transaction, params as z.output<Params>);
          const replace = await subject.parseReplace(body as z.output<ReviewBody>, owner, transaction);
          return await reviewRegeneration(transaction, core, owner, replace);
        });
        return { status: 200, body: presentReview(review) };
      },
    }),
    endpoint({
      method: 'post',
      path: `${path}/regenerate`,
      operationId: subject.rotateOperationId,
      permission,
      reach: 'organization',
      asksProof: true,
      summary:
        'Regenerate. The previous one works until the grace period ends. Without a current confirmation, the response is 428 with a review',
      params: owned,
      body: subject.body,
      example: { confirmation: 'eyJmb3IiOiJ…', overlap_seconds: 86_400 },
      idempotent: true,
      answers: { 201: subject.answer },
      problems: [409, 428],
      handle: async ({ operator, params, body, idempotent }) => {
        await core.usage.flush();
        return await changeOnce(core, idempotent, async (transaction) => {
          const owner = await subject.requireOwner(transaction, params as z.output<Params>);
          const request = await subject.parse(body as z.output<Body>, owner, transaction);
          const regenerated = await regenerateSecret(transaction, core, operator, owner, request);
          return {
            status: 201,
            ...(regenerated.plaintext === undefined
              ? {}
              : { secretOf: { targetType: owner.kind, target: owner.target } }),
            body: subject.present(owner, regenerated),
          };
        });
      },
    }),
    endpoint({
      method: 'get',
      path: `${path}/regenerations`,
      operationId: `list${noun}Rotations`,
      permission: 'integrations:view',
      reach: 'organization',
      ...(noun === 'AccessKey' ? { own: true as const } : {}),
      summary: 'List regenerations, newest first, with the sources that use the new and the previous secret',
      params: owned,
      query: z.strictObject(pageQuery),
      answers: { 200: pageSchema(regenerationSchema) },
      handle: async ({ params, query: { limit, cursor } }) => {
        const page = { limit, ...pager.open(cursor) };
        await core.usage.flush();
        const owner = await subject.findOwner(core.database, params as z.output<Params>);
        const rows = await listRegenerations(core.database, owner, {
          limit,
          beforeGeneration: page.after?.generation,
          afterGeneration: page.before?.generation,
        });
        return pager.answer(
          await followProgress(core.database, core, owner, rows),
          page,
          await presenter(core.database, rows),
          ({ regeneration }) => ({ generation: regeneration.newSecret.generation }),
        );
      },
    }),
    endpoint({
      method: 'post',
      path: `${path}/regenerations/{regeneration_id}/extend`,
      operationId: `extend${noun}Rotation`,
      permission,
      reach: 'organization',
      // The previous secret, which may be known to others, stays valid for longer.
      asksProof: true,
      summary: 'Let the grace period end later, at most 30 days from now',
      params: one,
      body: z.strictObject({
        retires_at: moment.meta({
          description: 'When the previous secret stops working (RFC 3339): later than now planned.',
          override: { type: 'string', format: 'date-time' },
        }),
      }),
      answers: { 200: regenerationSchema },
      problems: [409],
      handle: ({ operator, params, body: { retires_at: end } }) =>
        changeGracePeriod(
          (transaction, owner) =>
            extendRegeneration(transaction, core, operator, owner, params['regeneration_id'] as string, end),
          params as z.output<Params>,
        ),
    }),
    ...marks.map(({ name, operation, act, summary }) =>
      endpoint({
        method: 'post',
        path: `${path}/regenerations/{regeneration_id}/${name}`,
        operationId: operation(noun),
        permission,
        reach: 'organization',
        summary,
        params: one,
        body: placeSchema,
        answers: { 200: regenerationSchema },
        problems: [409],
        handle: ({ operator, params, body: { address, user_agent: userAgent, instance } }) =>
          changeGracePeriod(
            (transaction, owner) =>
              act(transaction, core, operator, owner, params['regeneration_id'] as string, {
                address,
                userAgent,
                instance: instance ?? undefined,
              }),
            params as z.output<Params>,
          ),
      }),
    ),
    ...ends.map(({ name, act, summary }) =>
      endpoint({
        method: 'post',
        path: `${path}/regenerations/{regeneration_id}/${name}`,
        operationId: `${name}${noun}Rotation`,
        permission,
        reach: 'organization',
        // Undo makes the previous secret valid again without an expiry.
        asksProof: name === 'undo',
        summary,
        params: one,
        answers: { 200: regenerationSchema },
        problems: [409],
        handle: ({ operator, params }) =>
          changeGracePeriod(
            (transaction, owner) => act(transaction, core, operator, owner, params['regeneration_id'] as string),
            params as z.output<Params>,
          ),
      }),
    ),
  ];
}

/** Returns a function that presents regenerations with the hand-overs that began them. */
async function presenter(database: Queryable, regenerations: readonly Regeneration[]) {
  const ids = regenerations.map(({ id }) => id);
  const handovers = await findHandoversOf(database, ids);
  return (progress: RegenerationProgress) => presentRegeneration(progress, handovers.get(progress.regeneration.id));
}
