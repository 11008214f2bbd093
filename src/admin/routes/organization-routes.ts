import { z } from 'zod';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import {
  createOrganization,
  deleteOrganization,
  setOrganizationEnabled,
  updateOrganization,
} from '../../organizations/manage-organizations.ts';
import type { Organization } from '../../organizations/organization.ts';
import {
  countHoldings,
  countOrganizations,
  findOrganization,
  listOrganizations,
} from '../../organizations/organization-store.ts';
import type { Queryable } from '../../storage/database.ts';
import { maxCounted } from '../../storage/page-by-text.ts';
import { labelFilter } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { createSortedPager, pageSchema, sortedQuery } from '../paging.ts';
import { etagOf } from '../presenters/present-client.ts';
import {
  newOrganization,
  organizationPatch,
  organizationSchema,
  presentOrganization,
  toOrganizationInput,
} from '../presenters/present-organization.ts';
import { text } from '../text.ts';

const organizationParams = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the organization.' }) });

const organizationsQuery = z.strictObject({
  ...sortedQuery,
  q: text(200).optional().meta({ description: 'Search text: the beginnings of words in the name, or an external ID.' }),
  status: z.enum(['enabled', 'disabled']).optional().meta({ description: 'Only organizations with this status.' }),
  label: labelFilter,
});

export function organizationEndpoints(core: Core): Endpoint[] {
  const pager = createSortedPager(core.keyRing, 'organizations');

  async function show(database: Queryable, organization: Organization, status = 200): Promise<Answer> {
    const { id } = organization;
    const holdings = await countHoldings(database, [id]);
    return {
      status,
      headers: { ETag: etagOf(organization), ...(status === 201 ? { Location: `/admin/v1/organizations/${id}` } : {}) },
      body: presentOrganization(organization, holdings.get(id)),
    };
  }

  const acts = [
    {
      path: 'disable',
      enabled: false,
      summary: 'Disable an organization. Its credentials and operator tokens are rejected, and its tokens are revoked',
    },
    {
      path: 'enable',
      enabled: true,
      summary: 'Enable an organization. Tokens that were revoked when it was disabled stay revoked',
    },
  ];

  return [
    endpoint({
      method: 'post',
      path: '/organizations',
      operationId: 'createOrganization',
      permission: 'contacts:manage',
      summary: 'Create an organization',
      body: newOrganization,
      example: { name: 'Acme Ltd', external_id: 'acme', ceiling: { integrations: 5 } },
      idempotent: true,
      answers: { 201: organizationSchema },
      problems: [409],
      handle: ({ operator, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) =>
          show(
            transaction,
            await createOrganization(transaction, core, operator, { ...toOrganizationInput(body), name: body.name }),
            201,
          ),
        ),
    }),
    endpoint({
      method: 'get',
      path: '/organizations',
      operationId: 'listOrganizations',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List organizations, by default newest first',
      query: organizationsQuery,
      answers: { 200: pageSchema(organizationSchema) },
      handle: async ({ query: { q, status, label, count, ...page } }) => {
        const slice = pager.open(page);
        const filter = { q, label, enabled: status && status === 'enabled' };
        const rows = await listOrganizations(core.database, { ...filter, ...slice });
        const holdings = await countHoldings(
          core.database,
          rows.map(({ id }) => id),
          maxCounted,
        );
        return pager.answer(
          rows,
          slice,
          (row) => presentOrganization(row, holdings.get(row.id)),
          (organization) => organization,
          count && (await countOrganizations(core.database, filter)),
        );
      },
    }),
    endpoint({
      method: 'get',
      path: '/organizations/{id}',
      operationId: 'getOrganization',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get an organization',
      params: organizationParams,
      answers: { 200: organizationSchema },
      handle: async ({ params }) => {
        const organization = await findOrganization(core.database, params.id);
        if (!organization) throw new NotFound('organization');
        return await show(core.database, organization);
      },
    }),
    endpoint({
      method: 'patch',
      path: '/organizations/{id}',
      operationId: 'updateOrganization',
      permission: 'contacts:manage',
      asksProof: true,
      summary: 'Change an organization. Only the fields and limits that are sent change',
      params: organizationParams,
      body: organizationPatch,
      example: { ceiling: { integrations: 10 } },
      conditional: true,
      answers: { 200: organizationSchema },
      problems: [409],
      handle: ({ operator, params, body, expectedRevisions }) =>
        core.change(async (transaction) =>
          show(
            transaction,
            await updateOrganization(
              transaction,
              core,
              operator,
              params.id,
              toOrganizationInput(body),
              expectedRevisions,
            ),
          ),
        ),
    }),
    ...acts.map(({ path, enabled, summary }) =>
      endpoint({
        method: 'post',
        path: `/organizations/{id}/${path}`,
        operationId: `${path}Organization`,
        permission: 'contacts:manage',
        asksProof: enabled,
        summary,
        params: organizationParams,
        answers: { 200: organizationSchema },
        problems: [409],
        handle: ({ operator, params }) =>
          core.change(async (transaction) =>
            show(transaction, await setOrganizationEnabled(transaction, core, operator, params.id, enabled)),
          ),
      }),
    ),
    endpoint({
      method: 'delete',
      path: '/organizations/{id}',
      operationId: 'deleteOrganization',
      permission: 'contacts:manage',
      approval: { act: 'delete', of: 'organization' },
      summary: 'Delete an organization with its disabled clients and its contacts. Nothing of it may be enabled',
      params: organizationParams,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params }) => {
        await core.change((transaction) => deleteOrganization(transaction, core, operator, params.id));
        return { status: 204 };
      },
    }),
  ];
}
