import { STATUS_CODES } from 'node:http';
import type { Context } from 'koa';
import { z } from 'zod';
import { createDocument, type oas31, type ZodOpenApiOperationObject, type ZodOpenApiPathItemObject } from 'zod-openapi';
import type { Config } from '../config.ts';
import type { PublicPath } from '../http/public-routes.ts';
import { addExamples } from './openapi-examples.ts';
import { simplifySchemas } from './openapi-schemas.ts';
import { accessKey, authentication, introspectionForm, resource, token, tokenForm } from './public-forms.ts';
import {
  healthSchema,
  introspectionSchema,
  jwksSchema,
  metadataSchema,
  oauthErrorSchema,
  ownRotationSchema,
  readinessSchema,
  tokenSchema,
  whoamiSchema,
} from './public-schemas.ts';

/** Serves the OpenAPI document of the public listener, without authentication, as that of the admin API. */
export function servePublicOpenApi({ issuer }: Config) {
  let document: ReturnType<typeof describePublicListener> | undefined;
  return (ctx: Context): void => {
    document ??= describePublicListener(issuer);
    ctx.body = document;
  };
}

const tags = {
  tokens: 'Issues, checks and revokes access tokens.',
  credentials: 'What a client can find out about its own credentials.',
  discovery: 'Metadata and public keys.',
  health: 'Whether the process is alive, and whether it can serve.',
};

/** Generates the OpenAPI 3.1 document of the public listener. @param issuer the URL that all endpoints start with. */
export function describePublicListener(issuer: string): oas31.OpenAPIObject {
  const document = createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Keyturn public API',
      version: '1',
      description: 'What integrations and resource servers call: OAuth 2.0 endpoints, metadata and health.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: issuer, description: 'The issuer.' }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths: paths as Record<string, ZodOpenApiPathItemObject>,
    components: {
      securitySchemes: {
        basic: {
          type: 'http',
          scheme: 'basic',
          description: 'The Client ID and a client secret (`client_secret_basic`), form-encoded (RFC 6749 §2.3.1).',
        },
        certificate: {
          // The types of zod-openapi lack `mutualTLS`, which OpenAPI 3.1 defines (§4.8.27).
          type: 'mutualTLS' as 'http',
          description:
            'The TLS client certificate (`tls_client_auth`, `self_signed_tls_client_auth`), with `client_id`.',
        },
      },
    },
  });
  simplifySchemas(document);
  addExamples(document);
  return document;
}

const retirement = z.object({
  Deprecation: z.string().optional().meta({
    description: 'Since when the presented secret has a successor (RFC 9745). Only with a retiring secret.',
  }),
  Sunset: z
    .string()
    .optional()
    .meta({ description: 'When the presented secret stops working (RFC 8594). Only with a retiring secret.' }),
});

type Content = Record<string, { schema: z.ZodType }>;
type Described = {
  tag: keyof typeof tags;
  operationId: string;
  summary: string;
  form?: z.ZodObject;
  header?: z.ZodObject;
  content: Content;
  refusals?: readonly number[];
};

const authenticated = [400, 401, 421, 429, 500, 503];
const withForm = [413, 415];

/** Describes an operation that needs client authentication. */
function authenticatedOperation({ refusals = [], ...described }: Described): ZodOpenApiOperationObject {
  return {
    ...operation({ ...described, refusals: [...authenticated, ...(described.form ? withForm : []), ...refusals] }),
    // The empty requirement stands for credentials in the form (`client_secret_post`, `private_key_jwt`).
    security: [{ basic: [] }, { certificate: [] }, {}],
  };
}

function operation(described: Described): ZodOpenApiOperationObject {
  const { tag, operationId, summary, form, header, content, refusals = [421, 500, 503] } = described;
  return {
    operationId,
    summary,
    tags: [tag],
    security: [],
    ...(header ? { requestParams: { header } } : {}),
    ...(form
      ? { requestBody: { required: true, content: { 'application/x-www-form-urlencoded': { schema: form } } } }
      : {}),
    responses: {
      200: { description: 'OK', ...(refusals.includes(401) ? { headers: retirement } : {}), content },
      ...Object.fromEntries(
        refusals.map((status) => [
          String(status),
          { description: STATUS_CODES[status] ?? '', content: { 'application/json': { schema: oauthErrorSchema } } },
        ]),
      ),
    },
  };
}

const json = (schema: z.ZodType): Content => ({ 'application/json': { schema } });
const whoami = { tag: 'credentials', content: json(whoamiSchema) } as const;
const metadata = { tag: 'discovery', content: json(metadataSchema) } as const;

const readiness: ZodOpenApiOperationObject = operation({
  tag: 'health',
  operationId: 'getReadiness',
  summary: 'Whether the process can serve requests, with the state of each store',
  content: json(readinessSchema),
  refusals: [],
});

/** The operations of each path. The type requires one for every path that the listener serves. */
const paths: Readonly<Record<PublicPath, ZodOpenApiPathItemObject>> = {
  '/oauth2/token': {
    post: authenticatedOperation({
      tag: 'tokens',
      operationId: 'requestToken',
      summary: 'Get an access token with the credentials of a client (RFC 6749 §4.4)',
      header: z.object({
        DPoP: z.string().optional().meta({ description: 'A proof that binds the token to a key (RFC 9449).' }),
      }),
      form: tokenForm,
      content: json(tokenSchema),
    }),
  },
  '/oauth2/introspect': {
    post: authenticatedOperation({
      tag: 'tokens',
      operationId: 'introspectToken',
      summary: 'Check an access token as a resource server (RFC 7662)',
      form: introspectionForm,
      content: {
        ...json(introspectionSchema),
        'application/token-introspection+jwt': {
          schema: z.string().meta({
            description: 'The signed answer (RFC 9701), if `Accept` names this type.',
            example: 'eyJ0eXAiOiJ0b2tlbi1pbnRyb3NwZWN0aW9uK2p3dCJ9…',
          }),
        },
      },
    }),
  },
  '/oauth2/revoke': {
    post: authenticatedOperation({
      tag: 'tokens',
      operationId: 'revokeToken',
      summary: 'Revoke an access token of the client (RFC 7009). Also 200 if the token is unknown',
      form: z.object({ token, ...authentication }),
      content: json(z.strictObject({})),
    }),
  },
  '/oauth2/events': {
    get: authenticatedOperation({
      tag: 'tokens',
      operationId: 'streamEvents',
      summary: 'Receive revocations and changes as a resource server, as server-sent events',
      header: z.object({
        'Last-Event-ID': z.string().optional().meta({ description: 'The ID of the last event that was received.' }),
      }),
      content: {
        'text/event-stream': {
          schema: z.string().meta({
            description: 'Events with an ID. `reset`: drop all cached tokens, because events may have been missed.',
            example: 'id: c3.1201-1796040000\nevent: reset\ndata: {}\n\n',
          }),
        },
      },
      refusals: [403],
    }),
  },
  '/oauth2/whoami': {
    get: authenticatedOperation({ ...whoami, operationId: 'getWhoami', summary: 'Describe the presented credential' }),
    post: authenticatedOperation({
      ...whoami,
      operationId: 'postWhoami',
      summary: 'Describe the presented credential and access key',
      form: z.object({ access_key: accessKey, resource, ...authentication }),
    }),
  },
  '/oauth2/credentials/rotate': {
    post: authenticatedOperation({
      tag: 'credentials',
      operationId: 'rotateOwnCredential',
      summary:
        'Rotate the credential that the client authenticates with, if it may. The same Idempotency-Key returns the same rotation, with its progress',
      header: z.object({
        'Idempotency-Key': z.string().min(16).max(255).meta({
          description:
            'Identifies the rotation. With the previous credential, it is enough to receive the new secret, so nobody must be able to guess it.',
          example: '3f0c9a52-7c1e-4b8e-9a54-2b1d6c9e7f10',
        }),
      }),
      form: z.object({
        overlap_seconds: z.string().optional().meta({
          description: 'The grace period in seconds, from 3600 to 2592000. The default is 86400.',
        }),
        finish_when_unused: z.enum(['true', 'false']).optional().meta({
          description: 'Whether the grace period ends as soon as all sources have moved.',
        }),
        jwks: z.string().optional().meta({
          description: 'Client with registered keys or certificates: the next ones, as a JWK set in JSON (RFC 7517).',
        }),
        certificate: z.string().optional().meta({ description: 'Client with certificates: the next ones, in PEM.' }),
        ...authentication,
      }),
      content: json(ownRotationSchema),
      refusals: [409, 422],
    }),
  },
  '/.well-known/oauth-authorization-server': {
    get: operation({ ...metadata, operationId: 'getMetadata', summary: 'Get the metadata of the server (RFC 8414)' }),
  },
  '/.well-known/openid-configuration': {
    get: operation({
      ...metadata,
      operationId: 'getOpenIdConfiguration',
      summary: 'Get the same metadata, for libraries that know only this path',
    }),
  },
  '/.well-known/jwks.json': {
    get: operation({
      tag: 'discovery',
      operationId: 'getKeys',
      summary: 'Get the public keys that verify JWT access tokens (RFC 7517)',
      content: json(jwksSchema),
    }),
  },
  '/healthz': {
    get: operation({
      tag: 'health',
      operationId: 'getHealth',
      summary: 'Whether the process is alive. Asks no store',
      content: json(healthSchema),
      refusals: [],
    }),
  },
  '/readyz': {
    get: {
      ...readiness,
      responses: { ...readiness.responses, 503: { description: 'Not ready', content: json(readinessSchema) } },
    },
  },
};
