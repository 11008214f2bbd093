import { z } from 'zod';
import { authMethods, tokenTyps } from '../clients/client.ts';
import type { GivenReplacement } from '../clients/replacement.ts';
import { jwksSchema, readSubject, subjectShape } from './presenters/present-client.ts';
import { resourceUri, scopeText, text } from './text.ts';

export const clientKind = z.enum(['integration', 'resource_server']);
const information = z
  .array(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be a lower-case word'))
  .max(200)
  .meta({ description: 'The kinds of information that a resource server offers', example: ['orders', 'products'] });
const accessKey = z.enum(['optional', 'required']);
const tokenFormat = z.enum(['opaque', 'jwt']);
const tokenTyp = z.enum(tokenTyps).meta({
  description:
    'The `typ` header of the access tokens of a resource server with `token_format` "jwt". Default "at+jwt" (RFC 9068); "JWT" is for libraries that refuse it',
});

/** Schema of the request body that registers a client. */
export const newClient = z.strictObject({
  name: text(200),
  kind: clientKind,
  scope: scopeText.optional(),
  access_key: accessKey.optional(),
  reveal: z.boolean().optional().meta({ description: 'Whether its secret can be shown again' }),
  auth_method: z.enum(authMethods).optional(),
  resource: resourceUri.optional(),
  information: information.optional(),
  token_format: tokenFormat.optional(),
  token_typ: tokenTyp.optional(),
  jwks: jwksSchema.optional(),
  jwks_uri: z.string().max(2_000).optional(),
  ...subjectShape,
  tls_client_certificate_bound_access_tokens: z.boolean().optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
});

/** Schema of the request body that changes a client. */
export const clientPatch = z.strictObject({
  name: text(200).optional(),
  scope: scopeText.optional(),
  access_key: accessKey.optional(),
  resource: resourceUri.nullable().optional(),
  information: information.optional(),
  token_format: tokenFormat.optional(),
  token_typ: tokenTyp.optional(),
  jwks: jwksSchema.optional(),
  jwks_uri: z.string().max(2_000).optional(),
  ...subjectShape,
  tls_client_certificate_bound_access_tokens: z.boolean().optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
});

/** Schema of what replaces the keys, the certificate or the way of authentication of a client. */
export const replacement = z
  .strictObject({
    auth_method: z.enum(authMethods).optional(),
    jwks: jwksSchema.optional(),
    jwks_uri: z.string().max(2_000).optional(),
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
    jwks: body.jwks,
    jwksUri: body.jwks_uri,
    certificate: body.certificate,
    certificateSubject: readSubject(body),
  };
}

/** Converts the members of a request body to the property names of the code. */
export function fieldsOf<Body extends z.output<typeof clientPatch>>(body: Body) {
  return {
    ...body,
    accessKey: body.access_key,
    tokenFormat: body.token_format,
    tokenTyp: body.token_typ,
    jwksUri: body.jwks_uri,
    certificateSubject: readSubject(body),
    certificateBoundTokens: body.tls_client_certificate_bound_access_tokens,
    dpopBoundTokens: body.dpop_bound_access_tokens,
  };
}
