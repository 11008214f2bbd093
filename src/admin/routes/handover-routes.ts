import { z } from 'zod';
import type { Permission } from '../../contacts/contact.ts';
import { findContact } from '../../contacts/contact-store.ts';
import type { Core } from '../../core.ts';
import { InvalidInput, NotFound } from '../../errors.ts';
import {
  type CreatedHandover,
  createHandover,
  handoverGracePeriods,
  linkLifetimes,
  withdrawHandover,
} from '../../handover/hand-over.ts';
import { findLatestHandover, type Handover, handoverStates, stateOfHandover } from '../../handover/handover-store.ts';
import type { OwnerRef, SecretOwner } from '../../secrets/secret-store.ts';
import type { Queryable, Transaction } from '../../storage/database.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { nullableTimestamp, timestamp } from '../text.ts';
import { email } from './contact-routes.ts';

const seconds = (limits: { min: number; max: number; default: number }, description: string) =>
  z
    .int()
    .min(limits.min)
    .max(limits.max)
    .default(limits.default)
    .meta({ description: `${description} From ${limits.min} to ${limits.max} seconds.` });

const begins = z.enum(['opened', 'created']);

const newHandover = z.strictObject({
  confirmation: z
    .string()
    .max(200)
    .optional()
    .meta({ description: 'The `confirmation` of a review of the regeneration that is at most ten minutes old.' }),
  contact_id: z.uuid().optional().meta({
    description:
      'The contact who receives the secret. Signed in to the portal, it needs no code; otherwise it proves its e-mail address. Send either this or `email`.',
  }),
  email: email.optional().meta({ description: 'The e-mail address of the receiver, who proves it by a code.' }),
  expires_in: seconds(linkLifetimes, 'For how many seconds the link can be opened.'),
  overlap_seconds: seconds(handoverGracePeriods, 'The grace period, in which the previous secret still works.'),
  grace_period_from: begins.default('opened').meta({
    description:
      'When the grace period begins: when the link is opened, or when it is created, so that its end is known now. It must then be at least an hour longer than `expires_in`.',
  }),
  finish_when_unused: z.boolean().optional().meta({
    description: 'Whether to end the grace period early, when all sources have moved, as in a regeneration.',
  }),
});

export const handoverSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the hand-over.' }),
    state: z.enum(handoverStates).meta({
      description:
        '`open`: the link can be opened. `opened`: it was, and has shown a new secret. `expired`: it was not opened in time. `withdrawn`: an operator ended it. `replaced`: a later link or another rotation ended it. `too_many_codes`: five wrong codes were entered. Unless it was opened, the secret has not changed.',
    }),
    contact_id: z
      .uuid()
      .nullable()
      .meta({ description: 'The contact who receives the secret. Null: only an address.' }),
    email: z.string().meta({ description: 'The e-mail address of the receiver.' }),
    expires_at: timestamp('Until when the link can be opened'),
    overlap_seconds: z.int().meta({ description: 'The length of the grace period in seconds.' }),
    grace_period_from: begins.meta({ description: 'When the grace period begins.' }),
    finish_when_unused: z.boolean().meta({ description: 'Whether the grace period ends early.' }),
    wrong_codes: z.int().meta({ description: 'How many wrong codes were entered.' }),
    created_at: timestamp('When the link was created'),
    created_by: z.string().meta({ description: 'The name of the operator who created it.' }),
    ended_at: nullableTimestamp('When the link was opened or ended. Null: neither.'),
    ended_by: z.string().nullable().meta({ description: 'Who opened or ended it.' }),
    opened: z
      .strictObject({
        regeneration_id: z.uuid().meta({ description: 'The ID of the regeneration that began.' }),
        address: z.string().meta({ description: 'The IP address.' }),
        user_agent: z.string().meta({ description: 'The User-Agent header.' }),
      })
      .nullable()
      .meta({ description: 'From where it was opened. Null: it was not.' }),
  })
  .meta({ id: 'Handover', description: 'A link that generates a new secret when it is opened, and shows it once.' });

export const createdSchema = handoverSchema
  .extend({
    url: z.url().meta({
      description: 'The link. It is not shown again.',
      example: 'https://portal.example.com/portal/handover/5gXo…',
    }),
    code: z.string().nullable().meta({
      description:
        'The code that the receiver must enter. Pass it on by another channel than the link. Null: the deployment has a mail server, and the receiver requests the code by e-mail on the page of the link.',
      example: '40718263',
    }),
  })
  .meta({ id: 'CreatedHandover', description: 'A new hand-over, with its link and its code.' });

/** The client or access key whose secret endpoints rotate or hand over. */
export type OwnerSubject<Params extends z.ZodObject> = {
  /** Path of the owner's endpoint, such as `/clients/{client_id}`. */
  path: '/clients/{client_id}' | '/access-keys/{id}';
  /** The noun in operation ids: `reviewClientRotation`. */
  noun: 'Client' | 'AccessKey';
  params: Params;
  permission: Permission;
  /**
   * Finds and locks the owner.
   * @throws {NotFound}
   */
  requireOwner(transaction: Transaction, params: z.output<Params>): Promise<SecretOwner>;
  /**
   * Finds the owner without a lock.
   * @throws {NotFound}
   */
  findOwner(database: Queryable, params: z.output<Params>): Promise<OwnerRef>;
};

/** Endpoints that create, show and withdraw a link by which a person receives a new secret. */
export function handoverEndpoints<P extends z.ZodObject>(core: Core, subject: OwnerSubject<P>): Endpoint[] {
  const { noun, params: owned, permission } = subject;
  const path = `${subject.path}/handover` as const;
  return [
    endpoint({
      method: 'post',
      path,
      operationId: `handOver${noun}Secret`,
      permission,
      reach: 'organization',
      asksProof: true,
      summary:
        'Create a link by which a person receives a new secret. Nothing changes until it is opened. Without a current confirmation, the response is 428 with a review',
      params: owned,
      body: newHandover,
      example: { confirmation: 'eyJmb3IiOiJ…', email: 'ann@example.com', overlap_seconds: 604_800 },
      idempotent: true,
      answers: { 201: createdSchema },
      problems: [409, 428],
      handle: async ({ operator, params, body, idempotent }) => {
        await core.usage.flush();
        return await changeOnce(core, idempotent, async (transaction) => {
          const owner = await subject.requireOwner(transaction, params as z.output<P>);
          const { portalUrl, mail } = core.config;
          const deps = { ...core, portalUrl, sendsMail: mail !== undefined };
          const created = await createHandover(transaction, deps, operator, owner, {
            confirmation: body.confirmation,
            receiver: await findReceiver(transaction, body),
            linkSeconds: body.expires_in,
            overlapSeconds: body.overlap_seconds,
            starts: body.grace_period_from,
            finishWhenUnused: body.finish_when_unused,
          });
          return {
            status: 201,
            secretOf: { targetType: owner.kind, target: owner.target },
            body: presentCreated(created, core.clock()),
          };
        });
      },
    }),
    endpoint({
      method: 'get',
      path,
      operationId: `get${noun}Handover`,
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get the latest hand-over, and when and from where it was opened',
      params: owned,
      answers: { 200: handoverSchema },
      handle: async ({ params }) => {
        const owner = await subject.findOwner(core.database, params as z.output<P>);
        const latest = await findLatestHandover(core.database, owner);
        if (!latest) throw new NotFound('hand-over');
        return { status: 200, body: presentHandover(latest, core.clock()) };
      },
    }),
    endpoint({
      method: 'delete',
      path,
      operationId: `withdraw${noun}Handover`,
      permission,
      reach: 'organization',
      summary: 'Withdraw the link. The secret does not change',
      params: owned,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params }) => {
        await core.change(async (transaction) => {
          const owner = await subject.requireOwner(transaction, params as z.output<P>);
          await withdrawHandover(transaction, core, operator, owner);
        });
        return { status: 204 };
      },
    }),
  ];
}

async function findReceiver(
  database: Queryable,
  { contact_id: contactId, email }: z.output<typeof newHandover>,
): Promise<{ contactId: string | null; email: string }> {
  if (contactId !== undefined && email === undefined) {
    const contact = await findContact(database, contactId);
    if (!contact) throw new InvalidInput('contact_id: no contact has this ID.');
    return { contactId, email: contact.email };
  }
  if (email !== undefined && contactId === undefined) return { contactId: null, email };
  throw new InvalidInput('Send either `contact_id` or `email`.');
}

function presentCreated({ handover, url, code }: CreatedHandover, now: number): z.input<typeof createdSchema> {
  return { ...presentHandover(handover, now), url, code: code ?? null };
}

function presentHandover(handover: Handover, now: number): z.input<typeof handoverSchema> {
  const { ended, opened } = handover;
  return {
    id: handover.id,
    state: stateOfHandover(handover, now),
    contact_id: handover.contactId,
    email: handover.email,
    expires_at: handover.expiresAt.toISOString(),
    overlap_seconds: handover.overlapSeconds,
    grace_period_from: handover.starts,
    finish_when_unused: handover.finishWhenUnused,
    wrong_codes: handover.wrongCodes,
    created_at: handover.createdAt.toISOString(),
    created_by: handover.createdBy,
    ended_at: ended?.at.toISOString() ?? null,
    ended_by: ended?.by ?? null,
    opened: opened && {
      regeneration_id: opened.regenerationId,
      address: opened.address,
      user_agent: opened.userAgent,
    },
  };
}
