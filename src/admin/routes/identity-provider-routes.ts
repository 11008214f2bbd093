import { z } from 'zod';
import { isIssuer } from '../../configuration/sign-in-settings.ts';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import type { IdentityProvider } from '../../identity-providers/identity-provider.ts';
import { findProvider, listProviders } from '../../identity-providers/identity-provider-store.ts';
import {
  createProvider,
  deleteProvider,
  type ProviderInput,
  updateProvider,
} from '../../identity-providers/manage-identity-providers.ts';
import { givenOrganization, organizationFilter, shownOrganization } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { organizationFor } from '../operator-auth.ts';
import { etagOf } from '../presenters/present-client.ts';
import { text, timestamp } from '../text.ts';

const params = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the identity provider.' }) });

const grant = z.strictObject({
  value: text(300).meta({ description: 'A value of the claim, such as a group. `*`: everyone who can sign in there.' }),
  permissions: z.array(z.enum(permissions)).meta({ description: 'What people with this value may do.' }),
  organization_id: z.uuid().nullable().optional().meta({
    description:
      'The organization that the permissions are limited to. Null: that of the provider. Only a provider of the deployment can name another.',
  }),
});

const fields = {
  name: text(100).meta({ description: 'The name of the provider, for people who sign in.', example: 'Example login' }),
  issuer: z
    .string()
    .max(500)
    .meta({ description: 'The issuer identifier of the OpenID Provider.', example: 'https://login.example.com' }),
  client_id: z.string().min(1).max(500).meta({ description: 'The Client ID that Keyturn has there.' }),
  scope: z
    .string()
    .max(500)
    .regex(/^openid(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/, 'must begin with openid')
    .meta({ description: 'The scopes of the authorization request.', example: 'openid profile email groups' }),
  claim: text(200).meta({
    description: 'The claim with the groups or roles. A dot separates members, as in `realm_access.roles`.',
    example: 'groups',
  }),
  grants: z
    .array(grant)
    .max(200)
    .meta({
      description: 'The permissions of each value of the claim. You need all of them yourself.',
      example: [{ value: 'admins', permissions: ['integrations:view'] }],
    }),
  creates_contacts: z
    .boolean()
    .meta({ description: 'Whether a person who has permissions and no contact yet gets one.' }),
  links_by_email: z.boolean().meta({
    description:
      'Whether a first sign-in is matched with the one contact of the organization that has the same e-mail address, if the provider has verified it.',
  }),
  acr_values: z.array(text(200)).max(10).meta({
    description: 'Authentication contexts that a renewed proof of identity must have, one of them. Empty: any.',
  }),
  email_domains: z
    .array(
      z
        .string()
        .max(253)
        .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'must be domains in lower case'),
    )
    .max(50)
    .meta({ description: 'E-mail domains whose people are sent to this provider.', example: ['example.com'] }),
  status: z.enum(['enabled', 'disabled']).meta({ description: 'People cannot sign in at a disabled provider.' }),
};

const clientSecret = z
  .string()
  .min(1)
  .max(1_000)
  .nullable()
  .meta({ description: 'The client secret that Keyturn has there. Null: none, PKCE alone. It is never shown again.' });

export const newProvider = z
  .strictObject({ ...fields, client_secret: clientSecret })
  .partial()
  .extend({
    organization_id: givenOrganization,
    name: fields.name,
    issuer: fields.issuer,
    client_id: fields.client_id,
  });
export const providerPatch = z.strictObject({ ...fields, client_secret: clientSecret }).partial();

export function identityProviderEndpoints(core: Core): Endpoint[] {
  /** The issuer's rule depends on the configuration. */
  const issuer = fields.issuer.refine(
    (value) => isIssuer(value, core.config.ssoNetworks.length > 0),
    'must be an https URL without query and fragment',
  );

  return [
    endpoint({
      method: 'post',
      path: '/identity-providers',
      operationId: 'createIdentityProvider',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Add an identity provider at which people sign in',
      body: newProvider.extend({ issuer }),
      example: { name: 'Example login', issuer: 'https://login.example.com', client_id: 'keyturn' },
      idempotent: true,
      answers: { 201: providerSchema },
      handle: ({ operator, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const { name, issuer: at, client_id: clientId, organization_id: asked, ...rest } = body;
          const organizationId = organizationFor(operator, asked);
          const input = { ...toInput(rest), name, issuer: at, clientId, organizationId };
          const provider = await createProvider(transaction, core, operator, input);
          const { headers, body: shown } = show(provider);
          const Location = `/admin/v1/identity-providers/${provider.id}`;
          return { status: 201, headers: { ...headers, Location }, body: shown };
        }),
    }),
    endpoint({
      method: 'get',
      path: '/identity-providers',
      operationId: 'listIdentityProviders',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'List identity providers, oldest first',
      query: z.strictObject({ organization_id: organizationFilter }),
      answers: { 200: providersSchema },
      handle: async ({ query }) => ({
        status: 200,
        body: { data: (await listProviders(core, query.organization_id)).map(presentProvider) },
      }),
    }),
    endpoint({
      method: 'get',
      path: '/identity-providers/{id}',
      operationId: 'getIdentityProvider',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'Get an identity provider',
      params,
      answers: { 200: providerSchema },
      handle: async ({ params: { id } }) => {
        const provider = await findProvider(core, id);
        if (!provider) throw new NotFound('identity provider');
        return show(provider);
      },
    }),
    endpoint({
      method: 'patch',
      path: '/identity-providers/{id}',
      operationId: 'updateIdentityProvider',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Change an identity provider. Only the fields that are sent change, and its people sign in again',
      params,
      body: providerPatch.extend({ issuer: issuer.optional() }),
      example: { claim: 'roles' },
      conditional: true,
      answers: { 200: providerSchema },
      handle: ({ operator, params: { id }, body, expectedRevisions }) =>
        core.change(async (transaction) =>
          show(await updateProvider(transaction, core, operator, id, toInput(body), expectedRevisions)),
        ),
    }),
    endpoint({
      method: 'delete',
      path: '/identity-providers/{id}',
      operationId: 'deleteIdentityProvider',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'Delete an identity provider. Its people are signed out, and keep their contacts',
      params,
      answers: { 204: null },
      handle: async ({ operator, params: { id } }) => {
        await core.change((transaction) => deleteProvider(transaction, core, operator, id));
        return { status: 204 };
      },
    }),
  ];
}

function toInput(body: Partial<z.output<typeof providerPatch>>): ProviderInput {
  return {
    name: body.name,
    issuer: body.issuer,
    clientId: body.client_id,
    clientSecret: body.client_secret,
    scope: body.scope,
    claim: body.claim,
    grants: body.grants?.map(({ organization_id: organizationId, ...rest }) => ({
      ...rest,
      organizationId: organizationId ?? null,
    })),
    createsContacts: body.creates_contacts,
    linksByEmail: body.links_by_email,
    acrValues: body.acr_values,
    emailDomains: body.email_domains,
    enabled: body.status && body.status === 'enabled',
  };
}

function show(provider: IdentityProvider): Answer {
  return { status: 200, headers: { ETag: etagOf(provider) }, body: presentProvider(provider) };
}

export const providerSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the identity provider.' }),
    organization_id: shownOrganization,
    ...fields,
    has_client_secret: z.boolean().meta({ description: 'Whether Keyturn has a client secret there.' }),
    created_at: timestamp('When the provider was added'),
    updated_at: timestamp('When the provider was last changed'),
  })
  .meta({ id: 'IdentityProvider', description: 'An OpenID Provider at which people sign in.' });

const providersSchema = z
  .strictObject({ data: z.array(providerSchema).meta({ description: 'The identity providers.' }) })
  .meta({ id: 'IdentityProviders', description: 'Identity providers.' });

function presentProvider(provider: IdentityProvider): z.input<typeof providerSchema> {
  return {
    id: provider.id,
    organization_id: provider.organizationId,
    name: provider.name,
    issuer: provider.issuer,
    client_id: provider.clientId,
    scope: provider.scope,
    claim: provider.claim,
    grants: provider.grants.map(({ value, permissions: granted, organizationId }) => ({
      value,
      permissions: [...granted],
      organization_id: organizationId,
    })),
    creates_contacts: provider.createsContacts,
    links_by_email: provider.linksByEmail,
    acr_values: [...provider.acrValues],
    email_domains: [...provider.emailDomains],
    status: provider.enabled ? 'enabled' : 'disabled',
    has_client_secret: provider.clientSecret !== null,
    created_at: provider.createdAt.toISOString(),
    updated_at: provider.updatedAt.toISOString(),
  };
}
