import { z } from 'zod';
import type { AccessKey, KnownAccessKey } from '../../access-keys/access-key.ts';
import {
  countAccessKeys,
  findClientIds,
  findKnownAccessKey,
  listAccessKeys,
  nameClients,
} from '../../access-keys/access-key-store.ts';
import {
  createAccessKey,
  removeAccessKey,
  revealAccessKey,
  saveKey,
  setAccessKeyEnabled,
} from '../../access-keys/manage-access-keys.ts';
import { findUsedScopes } from '../../access-keys/used-scopes.ts';
import { findEndedUse, findInState } from '../../attention/find-states.ts';
import { findContact, nameContacts } from '../../contacts/contact-store.ts';
import type { Core } from '../../core.ts';
import { InvalidInput, NotFound } from '../../errors.ts';
import { findWarnings } from '../../policies/find-subjects.ts';
import type { Queryable } from '../../storage/database.ts';
import { findLastUsed } from '../../usage/usage-report.ts';
import { keyPatch, keysQuery, newKey, toKeyFields } from '../access-key-input.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { createRevealLimit } from '../operator-auth.ts';
import { createSortedPager, pageSchema } from '../paging.ts';
import {
  type AccessKeyFacts,
  accessKeySchema,
  accessKeyWithValueSchema,
  presentAccessKey,
} from '../presenters/present-access-key.ts';
import { etagOf } from '../presenters/present-client.ts';
import { contactParams } from './contact-routes.ts';

export const accessKeyParams = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the access key.' }) });

const valueSchema = z.strictObject({
  id: z.uuid().meta({ description: 'The ID of the access key.' }),
  access_key: z.string().meta({ description: 'The current value of the key.' }),
});
const dayMs = 86_400_000;

/** Returns the id of the client with a current or previous Client ID. @throws {InvalidInput} */
async function requireClientId(database: Queryable, clientId: string): Promise<string> {
  const id = (await findClientIds(database, [clientId])).get(clientId);
  if (!id) throw new InvalidInput('client_id: client not found.', [{ path: 'client_id', message: 'client not found' }]);
  return id;
}

export function accessKeyEndpoints(core: Core): Endpoint[] {
  const pager = createSortedPager(core.keyRing, 'access-keys');
  const requireRevealAllowance = createRevealLimit();

  /** Loads the related data of any number of keys with five SQL statements. */
  async function readFacts(database: Queryable, rows: readonly KnownAccessKey[]): Promise<AccessKeyFacts> {
    const ids = rows.map(({ key }) => key.id);
    const now = core.clock();
    const usedSince = new Date(now - 30 * dayMs);
    return {
      now,
      usedSince,
      endedUse: await findEndedUse(database, ids, now),
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
    const shown = presentAccessKey(known, await readFacts(database, [known]));
    const body = { ...shown, ...(await findWarnings(database, 'access_keys', id, core.clock())) };
    return { status: 200, headers: { ETag: etagOf(known.key) }, body };
  }

  async function list(query: z.output<typeof keysQuery>): Promise<Answer> {
    const slice = pager.open(query);
    const now = new Date(core.clock());
    const unusedDays = query.unused_for_days;
    const clientId = query.client_id;
    const filter = {
      contactId: query.contact_id,
      organizationId: query.organization_id,
      status: query.status,
      q: query.q,
      label: query.label,
      among: query.state && (await findInState(core.database, 'access_keys', query.state, core.clock())),
      client: clientId === undefined ? undefined : await requireClientId(core.database, clientId),
      unusedSince: unusedDays === undefined ? undefined : new Date(now.getTime() - unusedDays * dayMs),
      now,
    };
    const rows = await listAccessKeys(core.database, { ...filter, ...slice });
    const facts = await readFacts(core.database, rows);
    return pager.answer(
      rows,
      slice,
      (row) => presentAccessKey(row, facts),
      ({ key }) => key,
      query.count && (await countAccessKeys(core.database, filter)),
    );
  }

  const acts = [
    { path: 'disable', enabled: false, summary: 'Disable Key. Its tokens are inactive while it is disabled' },
    { path: 'enable', enabled: true, summary: 'Enable an access key' },
  ];

  return [
    endpoint({
      method: 'get',
      path: '/access-keys',
      operationId: 'listAccessKeys',
      permission: 'integrations:view',
      reach: 'organization',
      own: true,
      summary: 'List the access keys of all contacts, by default newest first',
      query: keysQuery,
      answers: { 200: pageSchema(accessKeySchema) },
      handle: ({ query }) => list(query),
    }),
    endpoint({
      method: 'post',
      path: '/contacts/{id}/access-keys',
      operationId: 'createAccessKey',
      permission: 'integrations:edit',
      reach: 'organization',
      asksProof: true,
      summary: 'Create Key. The response contains its value',
      params: contactParams,
      body: newKey,
      example: { name: 'Warehouse', permissions: { orders: ['read'] } },
      idempotent: true,
      answers: { 201: accessKeyWithValueSchema },
      problems: [409],
      handle: ({ operator, params, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const created = await createAccessKey(transaction, core, operator, params.id, toKeyFields(body));
          const known = { key: created.key, secrets: [created.secret] };
          return {
            status: 201,
            secretOf: { targetType: 'access_key', target: created.key.id },
            headers: { ETag: etagOf(created.key), Location: `/admin/v1/access-keys/${created.key.id}` },
            body: {
              ...presentAccessKey(known, await readFacts(transaction, [known])),
              ...(await findWarnings(transaction, 'access_keys', known.key.id, core.clock())),
              access_key: created.accessKey,
            },
          };
        }),
    }),
    endpoint({
      method: 'get',
      path: '/contacts/{id}/access-keys',
      operationId: 'listContactAccessKeys',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List the access keys of a contact, newest first',
      params: contactParams,
      query: keysQuery.omit({ contact_id: true, organization_id: true }),
      answers: { 200: pageSchema(accessKeySchema) },
      handle: async ({ params, query }) => {
        if (!(await findContact(core.database, params.id))) throw new NotFound('contact');
        return await list({ ...query, contact_id: params.id });
      },
    }),
    endpoint({
      method: 'get',
      path: '/access-keys/{id}',
      operationId: 'getAccessKey',
      permission: 'integrations:view',
      reach: 'organization',
      own: true,
      summary: 'Get an access key, and what it was used for',
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
      operationId: 'updateAccessKey',
      permission: 'integrations:edit',
      reach: 'organization',
      asksProof: true,
      summary: 'Save Key. Changes apply immediately, also to tokens that are already issued',
      params: accessKeyParams,
      body: keyPatch,
      example: { permissions: { orders: ['read', 'update'] } },
      conditional: true,
      answers: { 200: accessKeySchema },
      problems: [409],
      handle: ({ operator, params, body, expectedRevisions }) =>
        core.change(async (transaction) => {
          await saveKey(transaction, core, operator, params.id, toKeyFields(body), expectedRevisions);
          return await showKey(transaction, params.id);
        }),
    }),
    ...acts.map(({ path, enabled, summary }) =>
      endpoint({
        method: 'post',
        path: `/access-keys/{id}/${path}`,
        operationId: `${path}AccessKey`,
        permission: 'integrations:edit',
        reach: 'organization',
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
      operationId: 'deleteAccessKey',
      permission: 'integrations:edit',
      reach: 'organization',
      summary: 'Remove Key. Only a key that was never used can be removed',
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
      operationId: 'revealAccessKey',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      approval: { act: 'reveal', of: 'access_key' },
      summary: 'Show the value of an access key again. The audit log records it',
      params: accessKeyParams,
      answers: { 200: valueSchema },
      problems: [409],
      handle: async ({ operator, params }) => {
        await requireRevealAllowance(operator.id);
        const value = await core.change((transaction) => revealAccessKey(transaction, core, operator, params.id));
        return { status: 200, body: { id: params.id, access_key: value } };
      },
    }),
  ];
}
