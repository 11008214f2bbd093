import { z } from 'zod';
import { parseScope } from '../../clients/client.ts';
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
  type Holdings,
  isDeployment,
  listOrganizations,
} from '../../organizations/organization-store.ts';
import type { Queryable } from '../../storage/database.ts';
import { givenDetails, labelFilter, shownDetails } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { createSortedPager, pageSchema, sortedQuery } from '../paging.ts';
import { etagOf } from '../presenters/present-client.ts';
import { resourceUri, scopeText, text, timestamp } from '../text.ts';

const organizationParams = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the organization.' }) });

const name = text(200).meta({ description: 'The name of the organization.' });
const externalId = text(200)
  .nullable()
  .meta({ description: 'The ID of the organization in your own system. It must be unique.' });

const limit = (description: string, minimum = 0) =>
  z
    .int()
    .min(minimum)
    .max(2_147_483_647)
    .nullable()
    .meta({ description: `${description} Null: no limit.` });
const limits = {
  scopes: z
    .array(
      z.strictObject({
        resource: resourceUri,
        scope: scopeText.meta({
          description: 'The scopes of this API that may be granted, separated by single spaces.',
        }),
      }),
    )
    .max(200)
    .nullable()
    .meta({
      description:
        'The scopes of each API that integrations and access keys may have. An API that is not listed is not allowed. Null: no limit.',
      example: [{ resource: 'https://api.example.com', scope: 'orders:read orders:create' }],
    }),
  integrations: limit('How many integrations the organization may have.'),
  access_keys: limit('How many enabled access keys its contacts may have.'),
  key_lifetime: limit('The longest time from the creation of an access key to its expiry, in seconds.', 60),
  reveal: z.boolean().meta({
    description:
      'Whether secrets and access keys may be shown again. False deletes the encrypted copies, and none are stored from then on.',
  }),
};
const meaning = 'What the integrations and access keys of the organization may have at most.';
const givenCeiling = z
  .strictObject(limits)
  .partial()
  .meta({ description: `${meaning} Only the limits that are sent change.` });

const newOrganization = z.strictObject({
  name,
  external_id: externalId.optional(),
  labels: givenDetails.labels,
  ceiling: givenCeiling.optional(),
});
const organizationPatch = newOrganization.partial();

const organizationsQuery = z.strictObject({
  ...sortedQuery,
  q: text(200).optional().meta({ description: 'Search text: the beginnings of words in the name, or an external ID.' }),
  status: z.enum(['enabled', 'disabled']).optional().meta({ description: 'Only organizations with this status.' }),
  label: labelFilter,
});

export const organizationSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the organization.' }),
    name: z.string().meta({ description: 'The name of the organization.' }),
    external_id: z.string().nullable().meta({ description: 'The ID of the organization in your own system.' }),
    status: z
      .enum(['enabled', 'disabled'])
      .meta({ description: 'While it is disabled, none of its credentials and tokens is accepted.' }),
    is_deployment: z.boolean().meta({
      description:
        'Whether this is the organization of the deployment itself, which cannot be limited, disabled or deleted.',
    }),
    labels: shownDetails.labels,
    ceiling: z.strictObject(limits).meta({ description: meaning }),
    integrations: z.int().meta({ description: 'How many integrations belong to the organization.' }),
    access_keys: z.int().meta({ description: 'How many enabled access keys its contacts have.' }),
    contacts: z.int().meta({ description: 'How many contacts belong to it.' }),
    created_at: timestamp('When the organization was created'),
    updated_at: timestamp('When the organization was last changed'),
  })
  .meta({ id: 'Organization', description: 'A customer or partner, to which contacts and integrations belong.' });

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
            await createOrganization(transaction, core, operator, { ...toInput(body), name: body.name }),
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
            await updateOrganization(transaction, core, operator, params.id, toInput(body), expectedRevisions),
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

function toInput({ external_id: id, ceiling, ...rest }: z.output<typeof organizationPatch>) {
  return {
    ...rest,
    externalId: id,
    ceiling: ceiling && {
      scopes:
        ceiling.scopes === null
          ? null
          : ceiling.scopes?.map(({ resource, scope }) => ({ resource, scope: parseScope(scope) })),
      integrations: ceiling.integrations,
      accessKeys: ceiling.access_keys,
      keyLifetimeSeconds: ceiling.key_lifetime,
      reveal: ceiling.reveal,
    },
  };
}

function presentOrganization(
  organization: Organization,
  holdings: Holdings | undefined,
): z.input<typeof organizationSchema> {
  const { ceiling } = organization;
  return {
    id: organization.id,
    name: organization.name,
    external_id: organization.externalId,
    status: organization.enabled ? 'enabled' : 'disabled',
    is_deployment: isDeployment(organization),
    labels: organization.labels,
    ceiling: {
      scopes: ceiling.scopes?.map(({ resource, scope }) => ({ resource, scope: scope.join(' ') })) ?? null,
      integrations: ceiling.integrations,
      access_keys: ceiling.accessKeys,
      key_lifetime: ceiling.keyLifetimeSeconds,
      reveal: ceiling.reveal,
    },
    integrations: holdings?.integrations ?? 0,
    access_keys: holdings?.accessKeys ?? 0,
    contacts: holdings?.contacts ?? 0,
    created_at: organization.createdAt.toISOString(),
    updated_at: organization.updatedAt.toISOString(),
  };
}
