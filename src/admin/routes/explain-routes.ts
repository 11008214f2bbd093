import { z } from 'zod';
import type { Core } from '../../core.ts';
import { explain } from '../../explain/explain.ts';
import type { Finding } from '../../explain/explanation.ts';
import { type LoggedRequest, rehearseRequest } from '../../explain/rehearse-request.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { nullableTimestamp, resourceUri } from '../text.ts';

const verdict = z.enum(['accepted', 'rejected', 'unknown']);

const findingSchema = z.strictObject({
  rule: z.string().meta({ description: 'The name of the rule.', example: 'client_disabled' }),
  verdict: verdict.meta({ description: 'What the rule says. `unknown`: it only adds a fact.' }),
  text: z.string().meta({ description: 'One or two sentences for people.' }),
  subject: z
    .strictObject({
      type: z.enum(['client', 'access_key']).meta({ description: 'The kind of thing.' }),
      id: z.string().meta({ description: 'The Client ID, or the ID of the access key.' }),
      name: z.string().meta({ description: 'The name.' }),
      contact_id: z.uuid().nullable().meta({ description: 'The contact of an access key. Null: a client.' }),
    })
    .nullable()
    .meta({ description: 'What the rule is about. Null: nothing that is known.' }),
  at: nullableTimestamp('When it was decided, for example when the client was disabled. Null: unknown.'),
  by: z.string().nullable().meta({
    description: 'Who decided. Null: unknown, or you do not have the permission `audit:view`.',
  }),
  audit_event_id: z.int().nullable().meta({ description: 'The number of the audit event. Null: as for `by`.' }),
  regeneration_id: z.uuid().nullable().meta({ description: 'The rotation that ended a secret. Null: none.' }),
});

export const explanationSchema = z
  .strictObject({
    kind: z
      .enum(['access_token', 'access_key', 'client_secret', 'client', 'request', 'unknown'])
      .meta({ description: 'What the value is.' }),
    verdict: verdict.meta({
      description: '`rejected`: it is not accepted, or the request was rejected. `unknown`: nothing is known about it.',
    }),
    findings: z.array(findingSchema).meta({
      description: 'The rules that were applied, with the facts that decided. The first `rejected` one decided.',
    }),
  })
  .meta({ id: 'Explanation', description: 'Why something is accepted, or was rejected.' });

export function explainEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path: '/explain',
      operationId: 'explain',
      permission: 'integrations:view',
      summary: 'Explain why a token, access key, client secret, client or request is accepted or was rejected',
      body: z.strictObject({
        value: z.string().trim().min(1).max(8_192).meta({
          description:
            'An access token, an access key or its ID, a client secret, a Client ID, or the `X-Request-Id` of a rejected request of the last day. It is never returned, stored or logged.',
          example: 'kti_4fW1mZ8qYc0RkT7pLs2VnB',
        }),
        resource: resourceUri
          .optional()
          .meta({ description: 'For a token: the resource server that would ask. The default is all it is for.' }),
        client_id: z
          .string()
          .max(256)
          .optional()
          .meta({ description: 'For an access key: the client that would use it. The default is any.' }),
      }),
      answers: { 200: explanationSchema },
      handle: async ({ operator, body: { value, resource, client_id: clientId } }) => {
        await core.usage.flush();
        const mayViewAudit = operator.permissions.includes('audit:view');
        const { findings, ...explanation } = await explain({ ...core, mayViewAudit }, { value, resource, clientId });
        return { status: 200, body: { ...explanation, findings: findings.map(presentFinding) } };
      },
    }),
    endpoint({
      method: 'post',
      path: '/explain/token-request',
      operationId: 'rehearseTokenRequest',
      permission: 'integrations:view',
      summary: 'Say what the token endpoint would answer to a logged request, if its credential is valid',
      body: loggedRequest,
      storesBody: false,
      example: { client_id: 'order-sync', scope: 'orders.read' },
      answers: { 200: rehearsedAnswer },
      handle: async ({ body }) => {
        const request: LoggedRequest = {
          clientId: body.client_id,
          grantType: body.grant_type,
          scope: body.scope,
          resources: body.resource,
          audiences: body.audience,
          authMethod: body.auth_method,
          path: body.path,
          contentType: body.content_type,
          dpop: body.dpop,
          certificate: body.certificate,
          accessKey: body.access_key,
          grantedScope: body.granted_scope,
        };
        return { status: 200, body: await rehearseRequest(core, request) };
      },
    }),
  ];
}

const given = z.string().max(4_096);
const list = z.array(given).max(100);

/** Schema of a token request as another server logged it. */
const loggedRequest = z.strictObject({
  client_id: given.min(1).meta({ description: 'The Client ID.' }),
  grant_type: given.default('client_credentials').meta({ description: 'The grant type.' }),
  scope: given.optional().meta({ description: 'The requested scope.' }),
  resource: list.default([]).meta({ description: 'The requested resources.' }),
  audience: list.default([]).meta({ description: 'The values of the parameter `audience`.' }),
  auth_method: given
    .optional()
    .meta({ description: 'How the client authenticated. The default is how it is registered here.' }),
  path: given.optional().meta({ description: 'The path of the request. The default is that of the token endpoint.' }),
  content_type: given.optional().meta({ description: 'The media type of the body. The default is that of a form.' }),
  dpop: z.boolean().default(false).meta({ description: 'Whether the request had a DPoP proof.' }),
  certificate: z.boolean().default(false).meta({ description: 'Whether it came with a TLS client certificate.' }),
  access_key: z.boolean().default(false).meta({ description: 'Whether it had an access key.' }),
  granted_scope: given.optional().meta({ description: 'The scope that the other server granted.' }),
});

const rehearsedAnswer = z
  .strictObject({
    status: z.int().meta({ description: 'The HTTP status that the token endpoint would answer with.' }),
    error: z.string().nullable().meta({ description: 'The error code (RFC 6749 §5.2). Null: a token.' }),
    scope: z.string().nullable().meta({ description: 'The scope of the token. Null: none.' }),
    expires_in: z.int().nullable().meta({ description: 'The lifetime of the token in seconds. Null: none.' }),
    text: z.string().nullable().meta({
      description: 'Why the request would be rejected and what to do, or how the token differs. Null: no difference.',
    }),
  })
  .meta({ id: 'RehearsedAnswer', description: 'What the token endpoint would answer to a logged request.' });

function presentFinding({ subject, at, eventId, regenerationId, ...found }: Finding): z.input<typeof findingSchema> {
  return {
    ...found,
    subject: subject && {
      type: subject.type,
      id: subject.id,
      name: subject.name,
      contact_id: subject.contactId,
    },
    at: at?.toISOString() ?? null,
    audit_event_id: eventId,
    regeneration_id: regenerationId,
  };
}
