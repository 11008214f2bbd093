/** Schemas of the answers of the public listener, for its OpenAPI document. */
import { z } from 'zod';
import { nullableTimestamp, timestamp } from './text.ts';

const seconds = (description: string) => z.int().meta({ description, example: 1_796_040_000 });
const text = (description: string, example?: string) =>
  z.string().meta({ description, ...(example === undefined ? {} : { example }) });
const optional = (description: string) => z.string().optional().meta({ description });
const words = (description: string, example: string[]) => z.array(z.string()).meta({ description, example });

export const oauthErrorSchema = z
  .strictObject({
    error: text('The kind of error, for programs (RFC 6749 §5.2).', 'invalid_client'),
    error_description: z.string().optional().meta({
      description: 'What is wrong and what to do, for people. The text may change.',
      example: 'Client authentication failed.',
    }),
  })
  .meta({ id: 'OAuthError', description: 'An error (RFC 6749 §5.2).' });

export const tokenSchema = z
  .strictObject({
    access_token: text('The access token.'),
    token_type: z.enum(['Bearer', 'DPoP']).meta({ description: 'How to present it. `DPoP`: bound to a key.' }),
    expires_in: z.int().meta({ description: 'The lifetime in seconds.', example: 3_600 }),
    scope: text('The granted scopes, separated by spaces.', 'orders:read'),
    issued_token_type: optional('The type of the token, if it was exchanged (RFC 8693 §2.2.1).'),
  })
  .meta({ id: 'Token', description: 'A new access token.' });

/** Custom claims are further members. */
export const introspectionSchema = z
  .looseObject({
    active: z
      .boolean()
      .meta({ description: 'Whether the token is valid here. If not, there is no other member.', example: true }),
    client_id: optional('The Client ID. Absent for a stand-alone access key.'),
    sub: optional('The same as `client_id`, or the ID of the contact of a stand-alone access key.'),
    scope: optional('The scopes that the token has now, separated by spaces.'),
    aud: z
      .union([z.string(), z.array(z.string())])
      .optional()
      .meta({ description: 'The resource servers that the token is for.' }),
    iss: optional('The issuer.'),
    iat: seconds('When the token was issued, in seconds since 1970.').optional(),
    exp: seconds('When the token expires, in seconds since 1970. Absent for an access key that does not.').optional(),
    token_type: optional('How the token is presented: `Bearer` or `DPoP`.'),
    jti: optional('The ID of the token.'),
    access_key_id: optional('The ID of the access key, if the token was requested with one.'),
    contact_id: optional('The ID of the contact that the access key belongs to.'),
    organization_id: optional(
      'The ID of the organization that the client belongs to. Absent if that is the deployment itself.',
    ),
    access_key_retirement: z
      .strictObject({ since: seconds('When the next value was created.'), until: seconds('When this value ends.') })
      .optional()
      .meta({ description: 'A stand-alone access key whose presented value is being replaced.' }),
    act: z
      .looseObject({ sub: z.string() })
      .optional()
      .meta({
        description: 'The API that exchanged the token, with earlier ones inside (RFC 8693 §4.1).',
        example: { sub: 'kti_9aB3cD4eF5gH6iJ7kL8mN0' },
      }),
    parent_jtis: words('The IDs of the tokens that it was exchanged from, and with which it ends.', []).optional(),
    rate_limit: z
      .strictObject({
        limit: z.int().meta({ description: 'How many requests are allowed in a minute.' }),
        remaining: z.int().meta({ description: 'How many are left in this minute.' }),
        reset: z.int().meta({ description: 'The seconds until the minute ends.' }),
        exceeded: z.boolean().meta({ description: 'Whether this request is one too many.' }),
      })
      .optional()
      .meta({ description: 'The limit of a stand-alone access key. Answer 429 if it is exceeded.' }),
    cnf: z
      .record(z.string(), z.string())
      .optional()
      .meta({ description: 'The key or certificate that the token is bound to (RFC 7800).' }),
  })
  .meta({
    id: 'Introspection',
    description: 'What is known of a token (RFC 7662 §2.2).',
    example: {
      active: true,
      client_id: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
      sub: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
      scope: 'orders:read',
      aud: 'https://api.example.com',
      iss: 'https://auth.example.com',
      iat: 1_796_036_400,
      exp: 1_796_040_000,
      token_type: 'Bearer',
      jti: 'Vt8mQ2xK5nRb7cLw',
    },
  });

const life = {
  hint: z.string().nullable().meta({ description: '`…` and its last four characters. Null: it has none.' }),
  created_at: timestamp('When it was created'),
  age_seconds: z.int().meta({ description: 'Its age in seconds.' }),
  expires_at: nullableTimestamp('When it stops working. Null: it does not expire.'),
};

export const whoamiSchema = z
  .strictObject({
    client_id: text('The Client ID.'),
    name: text('The name of the client.'),
    kind: z.enum(['integration', 'resource_server']).meta({ description: 'The kind of client.' }),
    auth_method: text('How the client authenticates.', 'client_secret_basic'),
    credential: z
      .strictObject({
        kind: text('The kind of credential.', 'client_secret'),
        kid: z.string().nullish().meta({ description: 'The ID of a key (RFC 7517 §4.5).' }),
        thumbprint: optional('The thumbprint of a key or certificate.'),
        ...life,
      })
      .meta({ description: 'The credential that authenticated the request.' }),
    access_key: z
      .strictObject({ id: z.uuid().meta({ description: 'Its ID.' }), name: text('Its name.'), ...life })
      .optional()
      .meta({ description: 'The access key in the request.' }),
    scope: optional('The scopes of a token that is requested without `scope`. Absent for a resource server.'),
    address: z.string().nullable().meta({ description: 'The address that the request came from. Null: unknown.' }),
    instance: z.string().nullable().meta({ description: 'The name of the calling instance. Null: none was sent.' }),
    server_time: timestamp('The time of the server'),
    clock_difference_seconds: z.int().nullable().meta({
      description: 'By how many seconds the `Date` header of the request is ahead. Null: there was none.',
    }),
  })
  .meta({ id: 'Whoami', description: 'The presented credential, never its value.' });

export const ownRotationSchema = z
  .strictObject({
    regeneration_id: z.uuid().meta({ description: 'The ID of the rotation, as operators see it.' }),
    state: z.enum(['overlapping', 'finished', 'undone']).meta({
      description:
        '`overlapping`: both credentials work. `finished`: only the new one. `undone`: an operator has made the previous one current again.',
    }),
    client_id: text('The Client ID of the new credential.'),
    client_secret: optional(
      'The new secret. Absent if the client has none, after the grace period, or if a program has used the secret and no copy of it is kept.',
    ),
    previous: z
      .strictObject({ retires_at: nullableTimestamp('When it stops working. Null: it is current again.') })
      .meta({ description: 'The previous credential.' }),
    first_used_at: nullableTimestamp('When the new credential was first used. Null: not yet.'),
    moved_count: z.int().meta({ description: 'How many sources have moved to the new credential.' }),
    not_moved_count: z.int().meta({ description: 'How many sources have not moved.' }),
  })
  .meta({ id: 'OwnRotation', description: 'A rotation that a client has requested itself.' });

const endpoint = (path: string) => text('The URL of the endpoint.', `https://auth.example.com${path}`);
const methods = words('How clients may authenticate.', ['client_secret_basic', 'client_secret_post']);
const algorithms = words('The signature algorithms.', ['ES256']);

export const metadataSchema = z
  .strictObject({
    issuer: text('The issuer.', 'https://auth.example.com'),
    token_endpoint: endpoint('/oauth2/token'),
    token_endpoint_auth_methods_supported: methods,
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    introspection_endpoint: endpoint('/oauth2/introspect'),
    introspection_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_signing_alg_values_supported: algorithms,
    introspection_signing_alg_values_supported: algorithms,
    revocation_endpoint: endpoint('/oauth2/revoke'),
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: algorithms,
    dpop_signing_alg_values_supported: algorithms,
    tls_client_certificate_bound_access_tokens: z
      .boolean()
      .optional()
      .meta({ description: 'Whether tokens can be bound to certificates (RFC 8705 §3.3).' }),
    jwks_uri: endpoint('/.well-known/jwks.json'),
    grant_types_supported: words('The grants.', ['client_credentials']),
    response_types_supported: words('Always `none`: there is no authorization endpoint.', ['none']),
    subject_types_supported: words('Always `public`.', ['public']),
    id_token_signing_alg_values_supported: algorithms,
    scopes_supported: words('The scopes that resource servers offer.', ['orders:read']).optional(),
  })
  .meta({ id: 'Metadata', description: 'The metadata of the server (RFC 8414).' });

export const jwksSchema = z
  .strictObject({
    keys: z
      .array(
        z.looseObject({
          kty: text('The kind of key (RFC 7517 §4.1).', 'EC'),
          kid: text('The ID of the key.'),
          alg: text('The signature algorithm.', 'ES256'),
          token_lifetime: z.int().optional().meta({ description: 'The longest lifetime of its tokens, in seconds.' }),
          retired_at: seconds('When it stopped signing, in seconds since 1970.').optional(),
        }),
      )
      .meta({
        description: 'The keys.',
        example: [{ kty: 'EC', crv: 'P-256', kid: 'Qd3fX0mV8sR2', alg: 'ES256', use: 'sig' }],
      }),
  })
  .meta({ id: 'Keys', description: 'A JWK set (RFC 7517).' });

export const healthSchema = z
  .strictObject({ status: z.literal('ok').meta({ description: 'Always `ok`.' }) })
  .meta({ id: 'Health', description: 'The process is alive.' });

const states = (description: string, example: Record<string, string>) =>
  z.record(z.string(), z.string()).optional().meta({ description, example });

export const readinessSchema = z
  .strictObject({
    status: z.enum(['ready', 'not_ready', 'draining', 'overloaded', 'starting']).meta({
      description: '`ready`: requests are served. `draining`: the process is shutting down.',
    }),
    stores: states('The state of each store. Absent while starting.', { postgres: 'up', redis: 'up' }),
    checks: states('The state of other conditions, if there are any.', { clock: 'ok' }),
    starting: z.array(z.string()).optional().meta({ description: 'What the start waits for.' }),
  })
  .meta({ id: 'Readiness', description: 'Whether the process can serve.' });
