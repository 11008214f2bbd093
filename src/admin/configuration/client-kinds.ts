import { z } from 'zod';
import { subjectFields } from '../../clients/certificate-subject.ts';
import { hasCertificate } from '../../clients/client.ts';
import type { PresetName } from '../../trusts/trust.ts';
import { presets } from '../../trusts/trust-presets.ts';
import { clientPatch, newClient } from '../client-input.ts';
import { newTrust, trustPatch } from '../presenters/present-trust.ts';
import { text } from '../text.ts';
import { inOrder, pick } from './compare-documents.ts';
import type { Kind, Members, World } from './configuration-kind.ts';

/** Documents of clients, and of the trusts of integrations. */

/** Member of documents that belong to an organization. */
export const organizationMember = text(200).optional().meta({
  description: 'The external ID or the name of its organization. The default is the deployment, or your organization.',
});
const clientId = z.string().max(200).optional().meta({
  description: 'The Client ID, to change the name, or if several have the same name. The default: found by its name.',
});
const owner = text(200).nullable().optional().meta({
  description: 'The external ID or the name of the contact who is responsible for it.',
});
const status = z.enum(['enabled', 'disabled']).optional().meta({
  description: 'Left as it is if it is not given, so that an emergency stop is not undone.',
});

const { kind: _kind, organization_id: _organization, owner_contact_id: _owner, name, ...shared } = newClient.shape;
const { scope, access_key: accessKey, default_scope: defaultScope, ...ofBoth } = shared;
const { information, scopes, token_format: format, token_typ: typ, resource, ...ofClient } = ofBoth;

/** The documents of resource servers. */
const resourceServer = z.strictObject({
  kind: z.literal('resource_server'),
  name,
  client_id: clientId,
  resource: resource.unwrap(),
  status,
  information,
  scopes,
  token_format: format,
  token_typ: typ,
  owner,
  ...ofClient,
});

/** The documents of integrations. */
const integration = z.strictObject({
  kind: z.literal('integration'),
  name,
  organization: organizationMember,
  client_id: clientId,
  status,
  scope,
  default_scope: defaultScope,
  access_key: accessKey,
  resource,
  owner,
  ...ofClient,
});

/** Members that a document has like the admin API. Further ones that the API gets need no change here. */
const freeForm = ['labels', 'metadata', 'claims', 'jwks'];
const different = ['kind', 'organization', 'owner', 'status', 'scopes'];

export const authenticationFields: readonly string[] = ['auth_method', 'jwks', 'jwks_uri', ...subjectFields];

function clientKind(kind: 'resource_server' | 'integration', schema: z.ZodObject): Kind {
  return {
    name: kind,
    schema,
    patch: clientPatch,
    defaultsOf: (document) => {
      const { auth_method: authMethod = 'client_secret_basic', token_format: tokenFormat = 'opaque' } = document;
      return {
        status: 'enabled',
        scope: '',
        access_key: 'optional',
        reveal: true,
        auth_method: 'client_secret_basic',
        token_format: 'opaque',
        token_typ: tokenFormat === 'jwt' ? 'at+jwt' : null,
        tls_client_certificate_bound_access_tokens: hasCertificate({ authMethod } as Parameters<
          typeof hasCertificate
        >[0]),
        dpop_bound_access_tokens: false,
        self_rotation: false,
        network_mode: 'enforce',
      };
    },
    kept: ['status'],
    // The copies of secrets are stored, or not, when a client is created.
    ignored: ['reveal'],
    list: 'GET /clients',
    query: { kind, limit: '200' },
    create: 'POST /clients',
    path: '/clients/{client_id}',
    hasActs: true,
    idOf: (shown) => String(shown['client_id']),
    async read(shown, world) {
      const members = { ...shown, client_id: undefined };
      const copied = Object.keys(schema.shape).filter((each) => !different.includes(each));
      const same = Object.fromEntries(
        Object.entries(pick(members, copied)).map(([each, value]) => [
          each,
          freeForm.includes(each) ? inOrder(value) : value,
        ]),
      );
      return {
        ...same,
        status: shown['status'],
        organization: await world.organizationName(shown['organization_id']),
        owner: await world.contactName(shown['owner_contact_id']),
        scopes: normalScopes(shown['scopes']),
      };
    },
    async write(members, world, { organization }) {
      const { organization: moved, owner: contact, status: _, client_id: __, ...same } = members;
      const body: Members = { ...same };
      if (moved !== undefined) body['organization_id'] = await world.organizationId(moved);
      if (contact === null) body['owner_contact_id'] = null;
      else if (contact !== undefined) body['owner_contact_id'] = await world.contactId(contact, organization);
      return body;
    },
    async match(things, document, world) {
      const { client_id: id, name: named, organization } = document;
      if (id !== undefined) return things.filter((thing) => thing.id === id);
      const own = await organizationOf(kind, organization, world);
      return things.filter(({ shown }) => shown['name'] === named && shown['organization_id'] === own);
    },
  };
}

async function organizationOf(kind: string, organization: unknown, world: World): Promise<string> {
  return kind === 'resource_server' ? await world.organizationId(undefined) : await world.organizationId(organization);
}

/** Returns declared scopes without members that have their default, and without what is about a change. */
export function normalScopes(scopes: unknown): Members[] | undefined {
  if (!Array.isArray(scopes)) return undefined;
  return (scopes as Members[]).map((scope) => {
    const { sensitive, aliases, deprecated, ...rest } = scope;
    const list = (value: unknown) => (Array.isArray(value) && value.length > 0 ? value : undefined);
    return pick(
      {
        ...rest,
        aliases: list(aliases),
        deprecated: list(deprecated),
        sensitive: sensitive === true ? true : undefined,
      },
      ['name', 'description', 'information', 'action', 'aliases', 'deprecated', 'sensitive'],
    );
  });
}

const { client_id: _client, enabled, name: trustName, ...trustMembers } = newTrust.shape;

/** The documents of trusts. */
const trust = z.strictObject({
  kind: z.literal('trust'),
  name: trustName,
  client: text(200).meta({ description: 'The name or the Client ID of the integration that the tokens stand for.' }),
  organization: organizationMember,
  enabled: enabled.meta({ description: 'Whether its tokens are accepted. Left as it is if it is not given.' }),
  ...trustMembers,
});

/** @param issuer that of the server, the default audience. */
function trustKind(issuer: string): Kind {
  return {
    name: 'trust',
    schema: trust,
    patch: trustPatch,
    defaultsOf: ({ preset = 'custom' }) => ({
      enabled: true,
      preset: 'custom',
      issuer: presets[preset as PresetName]?.issuer,
      audience: issuer,
      max_lifetime: 86_400,
      in_cluster: false,
    }),
    kept: ['enabled'],
    list: 'GET /trusts',
    query: { limit: '200' },
    create: 'POST /trusts',
    path: '/trusts/{id}',
    idOf: (shown) => String(shown['id']),
    async read(shown, world) {
      const { source, jwks, jwks_uri: jwksUri, ca } = shown['keys'] as Members;
      const conditions = (shown['conditions'] as Members[]).map((each) =>
        pick(each, ['claim', 'equals', 'one_of', 'prefix']),
      );
      return {
        ...pick(shown, ['name', 'preset', 'issuer', 'audience', 'max_lifetime', 'enabled']),
        ...(await world.clientName(shown['client_id'])),
        conditions,
        ...pick({ jwks: inOrder(jwks), jwks_uri: jwksUri, ca }, ['jwks', 'jwks_uri', 'ca']),
        in_cluster: source === 'in_cluster',
      };
    },
    async write({ kind: _, client, organization, ...same }, world) {
      return client === undefined ? same : { ...same, client_id: await world.clientId(client, organization) };
    },
    async match(things, document, world) {
      const id = await world.clientId(document['client'], document['organization']);
      return things.filter(({ shown }) => shown['client_id'] === id && shown['name'] === document['name']);
    },
  };
}

export function clientKinds(issuer: string): Kind[] {
  return [clientKind('resource_server', resourceServer), clientKind('integration', integration), trustKind(issuer)];
}
