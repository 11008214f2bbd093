import { z } from 'zod';
import { authMethods, tokenTyps } from '../clients/client.ts';
import type { GivenReplacement } from '../clients/replacement.ts';
import { givenDetails, givenOrganization, labelFilter, organizationFilter, stateFilter } from './details-schemas.ts';
import { sortedQuery } from './paging.ts';
import { jwksSchema, readSubject, subjectShape } from './presenters/present-client.ts';
import { givenScopes } from './scope-schemas.ts';
import { resourceUri, scopeText, text } from './text.ts';

const clientKind = z.enum(['integration', 'resource_server']).meta({
  description: '`integration`: a program that requests access tokens. `resource_server`: an API that checks them.',
});
const name = text(200).meta({ description: 'The name that people see. It need not be unique.' });
const information = z
  .array(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be a lower-case word'))
  .max(200)
  .meta({
    description:
      'The kinds of information that a resource server offers. Each kind has four scopes, such as `orders:create`, `orders:read`, `orders:update` and `orders:delete`.',
    example: ['orders', 'products'],
  });
const scope = scopeText.meta({ description: 'The scopes that an integration may have, separated by single spaces.' });
const accessKey = z
  .enum(['optional', 'required'])
  .meta({ description: 'Whether each token request of an integration must contain an access key.' });
const resourceMeaning = {
  description:
    'Resource server: its own identifier (RFC 8707). Integration: the resource server that tokens are for if a token request names none.',
};
const tokenFormat = z.enum(['opaque', 'jwt']).meta({
  description:
    'The format of the access tokens of a resource server. `opaque`: it introspects them. `jwt`: it can verify them itself (RFC 9068).',
});
const tokenTyp = z.enum(tokenTyps).meta({
  description:
    'The `typ` header of the access tokens of a resource server with `token_format` `jwt`. The default is `at+jwt` (RFC 9068). Use `JWT` for libraries that reject it.',
});

const jwks = jwksSchema.meta({
  description: 'The public keys (RFC 7517) or certificates (`x5c`) that the client authenticates with.',
});
const jwksUri = z
  .string()
  .max(2_000)
  .meta({ description: 'The https URL of the public keys of a client with `auth_method` `private_key_jwt`.' });
const certificateBound = z
  .boolean()
  .meta({ description: 'Whether all access tokens of the client are bound to its TLS certificate (RFC 8705 §3).' });
const dpopBound = z
  .boolean()
  .meta({ description: 'Whether all access tokens of the client are bound to a key with DPoP (RFC 9449 §5.2).' });

/** Fields that a client is generated with and that can be changed later. */
const sharedFields = {
  information: information.optional(),
  scopes: givenScopes.optional(),
  token_format: tokenFormat.optional(),
  token_typ: tokenTyp.optional(),
  ...givenDetails,
  jwks: jwks.optional(),
  jwks_uri: jwksUri.optional(),
  ...subjectShape,
  tls_client_certificate_bound_access_tokens: certificateBound.optional(),
  dpop_bound_access_tokens: dpopBound.optional(),
};

/** Schema of the request body that registers a client. */
export const newClient = z.strictObject({
  name,
  kind: clientKind,
  organization_id: givenOrganization,
  scope: scope.optional(),
  access_key: accessKey.optional(),
  reveal: z.boolean().optional().meta({
    description:
      'Whether an encrypted copy of the secret is stored, so that it can be shown again. The default is true.',
  }),
  auth_method: z
    .enum(authMethods)
    .optional()
    .meta({ description: 'How the client authenticates. The default is `client_secret_basic`.' }),
  resource: resourceUri.optional().meta(resourceMeaning),
  ...sharedFields,
});

/** Schema of the request body that changes a client. */
export const clientPatch = z.strictObject({
  name: name.optional(),
  organization_id: givenOrganization.meta({
    description:
      'The ID of the organization that an integration moves to. Its ceiling must allow what the integration has.',
  }),
  auth_method: z.enum(authMethods).optional().meta({
    description: 'A method other than the current one is not changed here: the answer is 428 with a review.',
  }),
  scope: scope.optional(),
  access_key: accessKey.optional(),
  resource: resourceUri.nullable().optional().meta(resourceMeaning),
  ...sharedFields,
  confirmation: z.string().max(200).optional().meta({
    description:
      'The `confirmation` of the review with which a change of `scopes` was answered (428), because clients have or use a name that it removes, renames or deprecates.',
  }),
});

/** Schema of the keys, the certificate or the authentication method that replaces the current one of a client. */
export const replacement = z
  .strictObject({
    auth_method: z
      .enum(authMethods)
      .optional()
      .meta({ description: 'How the client authenticates after the rotation. By default, as before.' }),
    jwks: jwks.optional(),
    jwks_uri: jwksUri.optional(),
    trust: z.uuid().optional().meta({
      description: 'The ID of an enabled trust of the client: its tokens, instead of a secret or a key.',
    }),
    certificate: z.string().max(40_000).optional().meta({ description: 'One or more self-signed certificates in PEM' }),
    ...subjectShape,
  })
  .meta({
    description:
      'What the client authenticates with from now on: keys, a certificate, or with `auth_method` another way. Absent: a new secret in place of the current one',
  });

export function replacementOf(body: z.output<typeof replacement>): GivenReplacement {
  return {
    authMethod: body.auth_method,
    trust: body.trust,
    jwks: body.jwks,
    jwksUri: body.jwks_uri,
    certificate: body.certificate,
    certificateSubject: readSubject(body),
  };
}

/** Schema of the filters of the list of clients. */
export const clientsQuery = z.strictObject({
  ...sortedQuery,
  q: text(200).optional().meta({ description: 'Search text: the beginnings of words in the name, or a Client ID.' }),
  status: z.enum(['enabled', 'disabled']).optional().meta({ description: 'Only clients with this status.' }),
  kind: clientKind.optional().meta({ description: 'Only clients of this kind.' }),
  organization_id: organizationFilter,
  owner_contact_id: z.uuid().optional().meta({ description: 'Only clients that this contact owns.' }),
  label: labelFilter,
  state: stateFilter,
  awaits_first_use: z
    .enum(['true'])
    .optional()
    .meta({ description: 'Only clients with an imported secret of which only a hash is known until its first use.' }),
});

/** Converts the members of a request body to the property names of the code. */
export function fieldsOf<Body extends z.output<typeof clientPatch>>(body: Body) {
  return {
    ...body,
    scopes: body.scopes?.map(({ renamed_from: renamedFrom, ...scope }) => ({ ...scope, renamedFrom })),
    authMethod: body.auth_method,
    accessKey: body.access_key,
    tokenFormat: body.token_format,
    tokenTyp: body.token_typ,
    organizationId: body.organization_id,
    ownerContactId: body.owner_contact_id,
    tokenTtlSeconds: body.access_token_ttl,
    defaultScope: body.default_scope,
    selfRotation: body.self_rotation,
    allowedNetworks: body.allowed_networks,
    networkMode: body.network_mode,
    jwksUri: body.jwks_uri,
    certificateSubject: readSubject(body),
    certificateBoundTokens: body.tls_client_certificate_bound_access_tokens,
    dpopBoundTokens: body.dpop_bound_access_tokens,
  };
}
