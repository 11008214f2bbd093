import { z } from 'zod';
import type { AccessKey, KnownAccessKey } from '../../access-keys/access-key.ts';
import {
  findKnownAccessKey,
  listAccessKeys,
  nameClients,
  requireAccessKeyOwner,
} from '../../access-keys/access-key-store.ts';
import {
  createAccessKey,
  removeAccessKey,
  saveKey,
  setAccessKeyEnabled,
} from '../../access-keys/manage-access-keys.ts';
import { findUsedScopes } from '../../access-keys/used-scopes.ts';
import { findContact, nameContacts } from '../../contacts/contact-store.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import { revealSecret } from '../../secrets/manage-secrets.ts';
import type { Queryable } from '../../storage/database.ts';
import { findLastUsed } from '../../usage/usage-report.ts';
import type { Answer } from '../answer.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { createdPosition, createPager, pageQuery, pageSchema } from '../page.ts';
import {
  type AccessKeyFacts,
  accessKeySchema,
  accessKeyWithValueSchema,
  permissionsSchema,
  presentAccessKey,
} from '../presenters/present-access-key.ts';
import { etagOf } from '../presenters/present-client.ts';
import { createRevealLimit } from '../reveal-limit.ts';
import { moment, text } from '../text.ts';
import { contactParams } from './contact-routes.ts';

export const accessKeyParams = z.strictObject({ id: z.uuid() });

const clients = z.array(z.string().max(100)).min(1).max(100).nullable();
const end = moment.nullable().meta({ override: { type: ['string', 'null'], format: 'date-time' } });

const newKey = z.strictObject({
  name: text(200),
  permissions: permissionsSchema,
  clients: clients.optional(),
  expires_at: end.optional(),
  reveal: z.boolean().optional().meta({ description: 'Whether its value can be shown again' }),
});

const keyPatch = z.strictObject({
  name: text(200).optional(),
  permissions: permissionsSchema.optional(),
  clients: clients.optional(),
  expires_at: end.optional(),
});

const status = z.enum(['enabled', 'disabled', 'expired']);
const keysQuery = z.strictObject({
  ...pageQuery,
  contact_id: z.uuid().optional(),
  status: status.optional(),
  q: text(200).optional().meta({
    description:
      "Beginnings of words of the key's and its contact's name, or `…` and the last four characters of its value",
  }),
  unused_for_days: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .optional()
    .meta({ description: 'Neither used nor made since', override: { type: 'integer', minimum: 0, maximum: 9999 } }),
});

const valueSchema = z.strictObject({ id: z.uuid(), access_key: z.string() });
const dayMs = 86_400_000;

export function accessKeyEndpoints(core: Core): Endpoint[] {
  const pager = createPager(core.keyRing, 'access-keys', createdPosition);
  const requireRevealAllowance = createRevealLimit();

  /** Loads the related data of any number of keys with four SQL statements. */
  async function readFacts(database: Queryable, rows: readonly KnownAccessKey[]): Promise<AccessKeyFacts> {
    const ids = rows.map(({ key }) => key.id);
    const now = core.clock();
    const usedSince = new Date(now - 30 * dayMs);
    return {
      now,
      usedSince,
      lastUsed: await findLastUsed(database, ids),
      usedScopes: await findUsedScopes(database, ids, usedSince),
      contactNames: await nameContacts(
        database,
        rows.map(({ key }) => key.contactId),
      ),
      clientIds: await nameClients(database, [...new Set(rows.flatMap(({ key }) => key.clients ?? []))]),
    };
  }

  async function showKey(database: Queryable, id: string): Promise<Answer> {
    const known = await findKnownAccessKey(database, id);
    if (!known) throw new NotFound('access key');
    const body = presentAccessKey(known, await readFacts(database, [known]));
    return { status: 200, headers: { ETag: etagOf(known.key) }, body };
  }

  async function list(query: z.output<typeof keysQuery>): Promise<Answer> {
    const position = pager.open(query.cursor);
    const now = new Date(core.clock());
    const unusedDays = query.unused_for_days;
    const rows = await listAccessKeys(core.database, {
      contactId: query.contact_id,
      status: query.status,
      q: query.q,
      unusedSince: unusedDays === undefined ? undefined : new Date(now.getTime() - unusedDays * dayMs),
      now,
      limit: query.limit,
      after: position && { createdAt: position.created_at, id: position.id },
    });
    const facts = await readFacts(core.database, rows);
    return pager.answer(
      rows,
      query.limit,
      (row) => presentAccessKey(row, facts),
      ({ key }) => ({ created_at: key.createdAt.toISOString(), id: key.id }),
    );
  }

  const acts = [
    { path: 'disable', enabled: false, summary: 'Disable Key: its tokens are inactive for as long as it is disabled' },
    { path: 'enable', enabled: true, summary: 'Enable a key' },
  ];

  return [
    endpoint({
      method: 'get',
      path: '/access-keys',
      permission: 'integrations:view',
      summary: 'The complete list of access keys over all contacts, newest first',
      query: keysQuery,
      answers: { 200: pageSchema(accessKeySchema) },
      handle: ({ query }) => list(query),
    }),
    endpoint({
      method: 'post',
      path: '/contacts/{id}/access-keys',
      permission: 'integrations:edit',
      asksProof: true,
      summary: 'Create Key',
      params: contactParams,
      body: newKey,
      idempotent: true,
      answers: { 201: accessKeyWithValueSchema },
      problems: [409],
      handle: ({ operator, params, body: { expires_at: expiresAt, ...body }, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const input = { ...body, expiresAt };
          const created = await createAccessKey(transaction, core, operator, params.id, input);
          const known = { key: created.key, secrets: [created.secret] };
          return {
            status: 201,
            secretOf: { targetType: 'access_key', target: created.key.id },
            headers: { ETag: etagOf(created.key), Location: `/admin/v1/access-keys/${created.key.id}` },
            body: {
              ...presentAccessKey(known, await readFacts(transaction, [known])),
              access_key: created.accessKey,
            },
          };
        }),
    }),
    endpoint({
      method: 'get',
      path: '/contacts/{id}/access-keys',
      permission: 'integrations:view',
      summary: "List a contact's access keys, newest first",
      params: contactParams,
      query: keysQuery.omit({ contact_id: true }),
      answers: { 200: pageSchema(accessKeySchema) },
      handle: async ({ params, query }) => {
        if (!(await findContact(core.database, params.id))) throw new NotFound('contact');
        return await list({ ...query, contact_id: params.id });
      },
    }),
    endpoint({
      method: 'get',
      path: '/access-keys/{id}',
      permission: 'integrations:view',
      summary: 'Look at an access key, and at what it was really used for',
      params: accessKeyParams,
      answers: { 200: accessKeySchema },
      handle: async ({ params }) => {
        await core.usedScopes.flush();
        return await showKey(core.database, params.id);
      },
    }),
    endpoint({
      method: 'patch',
      path: '/access-keys/{id}',
      permission: 'integrations:edit',
      asksProof: true,
      summary: 'Save Key: the same key, changed; live tokens follow at once',
      params: accessKeyParams,
      body: keyPatch,
      conditional: true,
      answers: { 200: accessKeySchema },
      problems: [409],
      handle: ({ operator, params, body: { expires_at: expiresAt, ...body }, expectedRevisions }) =>
        core.change(async (transaction) => {
          await saveKey(transaction, core, operator, params.id, { ...body, expiresAt }, expectedRevisions);
          return await showKey(transaction, params.id);
        }),
    }),
    ...acts.map(({ path, enabled, summary }) =>
      endpoint({
        method: 'post',
        path: `/access-keys/{id}/${path}`,
        permission: 'integrations:edit',
        asksProof: enabled,
        summary,
        params: accessKeyParams,
        answers: { 200: accessKeySchema },
        handle: ({ operator, params }) =>
          core.change(async (transaction) => {
            const { id }: AccessKey = await setAccessKeyEnabled(transaction, core, operator, params.id, enabled);
            return await showKey(transaction, id);
          }),
      }),
    ),
    endpoint({
      method: 'delete',
      path: '/access-keys/{id}',
      permission: 'integrations:edit',
      summary: 'Remove Key: only one that was never used',
      params: accessKeyParams,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params }) => {
        await core.change((transaction) => removeAccessKey(transaction, core, operator, params.id));
        return { status: 204 };
      },
    }),
    endpoint({
      method: 'post',
      path: '/access-keys/{id}/reveal',
      permission: 'api_key:manage',
      asksProof: true,
      summary: 'Show the current value again; the audit log says so first',
      params: accessKeyParams,
      answers: { 200: valueSchema },
      problems: [409],
      handle: async ({ operator, params }) => {
        await requireRevealAllowance(operator.id);
        const value = await core.change(async (transaction) =>
          revealSecret(transaction, core, operator, await requireAccessKeyOwner(transaction, params.id)),
        );
        return { status: 200, body: { id: params.id, access_key: value } };
      },
    }),
  ];
}
