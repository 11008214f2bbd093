import { z } from 'zod';
import { findKnownClient } from '../../clients/client-store.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import { createTrust, removeTrust, updateTrust } from '../../trusts/manage-trusts.ts';
import { countTrusts, findTrust, listEnabledTrusts, listTrusts } from '../../trusts/trust-store.ts';
import { tryToken } from '../../trusts/try-token.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { createSortedPager, pageSchema, sortedQuery } from '../paging.ts';
import { etagOf } from '../presenters/present-client.ts';
import {
  newTrust,
  presentTrial,
  presentTrust,
  toConditions,
  toGivenTrust,
  trialSchema,
  trustPatch,
  trustSchema,
} from '../presenters/present-trust.ts';
import { text } from '../text.ts';

const trustParams = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the trust.' }) });
const trustsQuery = z.strictObject({
  ...sortedQuery,
  client_id: z.string().max(200).optional().meta({ description: 'Only trusts of this integration.' }),
  q: text(200).optional().meta({ description: 'Search text: a part of the name or of the issuer.' }),
});

/** Endpoints of trusts: issuers of workload identities whose tokens stand for an integration. */
export function trustEndpoints(core: Core): Endpoint[] {
  const pager = createSortedPager(core.keyRing, 'trusts');
  const deps = { clock: core.clock, issuer: core.issuer, clusterUrl: core.config.trusts.clusterUrl };

  async function idOf(clientId: string | undefined): Promise<string | undefined> {
    if (clientId === undefined) return undefined;
    const known = await findKnownClient(core.database, clientId);
    if (!known) throw new NotFound('client');
    return known.client.id;
  }

  return [
    endpoint({
      method: 'post',
      path: '/trusts',
      operationId: 'createTrust',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Create a trust. It is accepted once the integration authenticates with `workload_identity`',
      body: newTrust,
      example: {
        client_id: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
        name: 'Shop, deployment',
        preset: 'github',
        conditions: [
          { claim: 'repository_id', equals: '719384512' },
          { claim: 'environment', equals: 'production' },
        ],
      },
      idempotent: true,
      answers: { 201: trustSchema },
      problems: [404],
      handle: ({ operator, body: { client_id: clientId, ...body }, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const given = { ...toGivenTrust(body), name: body.name, conditions: toConditions(body.conditions) };
          const trust = await createTrust(transaction, deps, operator, clientId, given);
          const headers = { ETag: etagOf(trust), Location: `/admin/v1/trusts/${trust.id}` };
          return { status: 201, headers, body: presentTrust(trust) };
        }),
    }),
    endpoint({
      method: 'get',
      path: '/trusts',
      operationId: 'listTrusts',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List trusts, newest first',
      query: trustsQuery,
      answers: { 200: pageSchema(trustSchema) },
      handle: async ({ query }) => {
        const slice = pager.open(query);
        const filter = { client: await idOf(query.client_id), q: query.q };
        const rows = await listTrusts(core.database, { ...filter, ...slice });
        const total = query.count && (await countTrusts(core.database, filter));
        return pager.answer(rows, slice, presentTrust, (trust) => trust, total);
      },
    }),
    endpoint({
      method: 'get',
      path: '/trusts/{id}',
      operationId: 'getTrust',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get a trust',
      params: trustParams,
      answers: { 200: trustSchema },
      handle: async ({ params }) => {
        const trust = await findTrust(core.database, params.id);
        if (!trust) throw new NotFound('trust');
        return { status: 200, headers: { ETag: etagOf(trust) }, body: presentTrust(trust) };
      },
    }),
    endpoint({
      method: 'patch',
      path: '/trusts/{id}',
      operationId: 'updateTrust',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Change a trust. Tokens that do not meet it any more are rejected immediately',
      params: trustParams,
      body: trustPatch,
      example: { enabled: false },
      conditional: true,
      answers: { 200: trustSchema },
      problems: [409],
      handle: ({ operator, params, body, expectedRevisions }) =>
        core.change(async (transaction) => {
          const trust = await updateTrust(
            transaction,
            deps,
            operator,
            params.id,
            toGivenTrust(body),
            expectedRevisions,
          );
          return { status: 200, headers: { ETag: etagOf(trust) }, body: presentTrust(trust) };
        }),
    }),
    endpoint({
      method: 'delete',
      path: '/trusts/{id}',
      operationId: 'deleteTrust',
      permission: 'api_key:manage',
      reach: 'organization',
      summary: 'Delete a trust',
      params: trustParams,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params }) => {
        await core.change((transaction) => removeTrust(transaction, deps, operator, params.id));
        return { status: 204 };
      },
    }),
    endpoint({
      method: 'post',
      path: '/trusts/test',
      operationId: 'explainWorkloadToken',
      permission: 'integrations:view',
      reach: 'organization',
      summary:
        'Try a token: which rule of which trust it meets. Stores nothing, and fetches only keys of trusted issuers',
      body: z.strictObject({
        token: z.string().max(16_384).meta({ description: 'The token of a workload, as it would be presented.' }),
      }),
      storesBody: false,
      answers: { 200: trialSchema },
      handle: async ({ body }) => {
        // The database shows only the trusts that the operator may see.
        const trustsOf = async (issuer: string) =>
          (await listEnabledTrusts(core.database)).filter((trust) => trust.issuer === issuer);
        const trial = await tryToken({ keyring: core.trustKeyring, trustsOf }, body.token, core.clock() / 1_000);
        return { status: 200, body: presentTrial(trial) };
      },
    }),
  ];
}
