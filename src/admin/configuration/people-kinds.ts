import { z } from 'zod';
import { noCeiling } from '../../clients/ceiling.ts';
import { defaultScope } from '../../identity-providers/identity-provider.ts';
import { newOrganization, organizationPatch } from '../presenters/present-organization.ts';
import { contactPatch, newContact } from '../routes/contact-routes.ts';
import { newProvider, providerPatch } from '../routes/identity-provider-routes.ts';
import { organizationMember } from './client-kinds.ts';
import { inOrder, pick } from './compare-documents.ts';
import type { Kind, Members, Thing } from './configuration-kind.ts';

/** Documents of organizations, contacts and identity providers. */

const { name: organizationName, ...organizationMembers } = newOrganization.shape;

const organization = z.strictObject({
  kind: z.literal('organization'),
  name: organizationName,
  is_deployment: z.boolean().optional().meta({
    description: 'Whether this is the organization of the deployment itself, whatever its name is.',
  }),
  status: z.enum(['enabled', 'disabled']).optional().meta({
    description: 'Left as it is if it is not given, so that an emergency stop is not undone.',
  }),
  ...organizationMembers,
});

const ceilingDefaults: Members = {
  scopes: noCeiling.scopes,
  integrations: noCeiling.integrations,
  access_keys: noCeiling.accessKeys,
  key_lifetime: noCeiling.keyLifetimeSeconds,
  reveal: noCeiling.reveal,
};
const portalDefaults: Members = {
  name: null,
  logo: null,
  accent_color: null,
  support_url: null,
  return_url: null,
  return_origins: [],
  frame_origins: [],
};

/** Returns the things with the external ID of a document, or without another one with its name. */
function byIdentity(things: readonly Thing[], { external_id: externalId, name }: Members): Thing[] {
  const given = externalId ?? null;
  const sameId = given === null ? [] : things.filter(({ shown }) => shown['external_id'] === given);
  if (sameId.length > 0) return sameId;
  return things.filter(
    ({ shown }) => shown['name'] === name && (given === null || (shown['external_id'] ?? null) === null),
  );
}

const organizationKind: Kind = {
  name: 'organization',
  schema: organization,
  patch: organizationPatch,
  defaultsOf: () => ({ status: 'enabled', ceiling: ceilingDefaults, portal: portalDefaults }),
  kept: ['status'],
  list: 'GET /organizations',
  query: { limit: '200' },
  create: 'POST /organizations',
  path: '/organizations/{id}',
  hasActs: true,
  idOf: (shown) => String(shown['id']),
  async read(shown) {
    const ceiling = shown['ceiling'] as Members;
    const scopes = (ceiling['scopes'] as Members[] | null)?.map((each) => pick(each, ['resource', 'scope']));
    return {
      ...pick(shown, ['name', 'external_id', 'status']),
      ...(shown['is_deployment'] === true ? { is_deployment: true } : {}),
      labels: inOrder(shown['labels']),
      ceiling: { ...ceiling, scopes: scopes ?? null },
      portal: shown['portal'],
    };
  },
  async write({ kind: _, status: __, is_deployment: ___, ...same }) {
    return same;
  },
  async match(things, document) {
    if (document['is_deployment'] === true) return things.filter(({ shown }) => shown['is_deployment'] === true);
    return byIdentity(
      things.filter(({ shown }) => shown['is_deployment'] !== true),
      document,
    );
  },
};

const { organization_id: _own, ...contactMembers } = newContact.shape;

const contact = z.strictObject({
  kind: z.literal('contact'),
  name: contactMembers.name,
  organization: organizationMember,
  email: contactMembers.email,
  external_id: contactMembers.external_id,
  language: contactMembers.language,
  permissions: contactMembers.permissions,
});

const contactKind: Kind = {
  name: 'contact',
  schema: contact,
  patch: contactPatch,
  defaultsOf: () => ({}),
  list: 'GET /contacts',
  query: { limit: '200' },
  create: 'POST /contacts',
  path: '/contacts/{id}',
  idOf: (shown) => String(shown['id']),
  read: async (shown, world) => ({
    ...pick(shown, ['name', 'email', 'external_id', 'language', 'permissions']),
    organization: await world.organizationName(shown['organization_id']),
  }),
  async write({ kind: _, organization: moved, ...same }, world) {
    return moved === undefined ? same : { ...same, organization_id: await world.organizationId(moved) };
  },
  async match(things, document, world) {
    const own = await world.organizationId(document['organization']);
    const sameId = byIdentity(things, { external_id: document['external_id'] });
    if (document['external_id'] !== undefined && sameId.length > 0) return sameId;
    return byIdentity(
      things.filter(({ shown }) => shown['organization_id'] === own),
      document,
    );
  },
};

const {
  organization_id: _ofProvider,
  name: providerName,
  issuer,
  client_id: clientId,
  client_secret: clientSecret,
  grants,
  ...providerMembers
} = newProvider.shape;
const { organization_id: _ofGrant, ...grantMembers } = grants.unwrap().element.shape;

const provider = z.strictObject({
  kind: z.literal('identity_provider'),
  name: providerName,
  organization: organizationMember,
  issuer,
  client_id: clientId,
  client_secret_env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable')
    .optional()
    .meta({
      description:
        'The environment variable of `keyturn apply` with the client secret that Keyturn has there. It is read once, when the provider has none yet. Absent: none, PKCE alone.',
    }),
  client_secret: clientSecret.unwrap().optional(),
  ...providerMembers,
  grants: z
    .array(z.strictObject({ ...grantMembers, organization: organizationMember }))
    .max(200)
    .optional()
    .meta({ description: 'The permissions of each value of the claim. You need all of them yourself.' }),
});

/** Returns the name of the environment variable that an export names for the secret of a provider. */
function secretVariable(name: unknown): string {
  const words = String(name)
    .toUpperCase()
    .match(/[A-Z0-9]+/g) ?? ['PROVIDER'];
  return `${words.join('_').replace(/^(?=\d)/, '_')}_CLIENT_SECRET`;
}

const providerKind: Kind = {
  name: 'identity_provider',
  schema: provider,
  patch: providerPatch,
  defaultsOf: () => ({
    scope: defaultScope,
    claim: 'groups',
    creates_contacts: true,
    links_by_email: false,
    status: 'enabled',
  }),
  kept: ['status'],
  list: 'GET /identity-providers',
  create: 'POST /identity-providers',
  path: '/identity-providers/{id}',
  idOf: (shown) => String(shown['id']),
  async read(shown, world) {
    const given: Members[] = [];
    for (const grant of shown['grants'] as Members[]) {
      const named =
        grant['organization_id'] === null ? undefined : await world.organizationName(grant['organization_id']);
      given.push(pick({ ...grant, organization: named }, ['value', 'permissions', 'organization']));
    }
    const copied = [...Object.keys(providerMembers), 'name', 'issuer', 'client_id'];
    return {
      ...pick(shown, copied),
      organization: await world.organizationName(shown['organization_id']),
      client_secret_env: shown['has_client_secret'] === true ? secretVariable(shown['name']) : undefined,
      grants: given,
    };
  },
  async write({ kind: _, organization: moved, client_secret_env: variable, grants: list, ...same }, world) {
    const body: Members = { ...same };
    if (moved !== undefined) body['organization_id'] = await world.organizationId(moved);
    // A change of the variable means that there is to be a secret, or none.
    if (variable === null) body['client_secret'] = null;
    if (!Array.isArray(list)) return body;
    const given: Members[] = [];
    for (const { organization: named, ...grant } of list as Members[]) {
      const id = named === undefined ? null : await world.organizationId(named);
      given.push({ ...grant, organization_id: id });
    }
    return { ...body, grants: given };
  },
  async match(things, document, world) {
    const own = await world.organizationId(document['organization']);
    return things.filter(({ shown }) => shown['name'] === document['name'] && shown['organization_id'] === own);
  },
};

export { contactKind, organizationKind, providerKind, secretVariable };
