import { z } from 'zod';
import type { Core } from '../../core.ts';
import {
  getAuthorizationToken,
  issueAuthorizationToken,
  revokeAuthorizationToken,
} from '../../tokens/authorization-token.ts';
import { lifetimeOf } from '../../tokens/token-record.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { resourceUri, scopeText, timestamp } from '../text.ts';
import { clientParams } from './client-routes.ts';

const path = '/clients/{client_id}/authorization-token';

export const issuedSchema = z
  .strictObject({
    access_token: z.string().meta({ description: 'The access token.' }),
    token_type: z.literal('Bearer').meta({ description: 'Always `Bearer`.' }),
    expires_in: z.int().meta({ description: 'How many seconds the token is valid.' }),
    scope: z.string().meta({ description: 'The scopes of the token, separated by spaces.' }),
  })
  .meta({ id: 'IssuedAuthorizationToken', description: 'A new API authorization token.' });

export const knownSchema = z
  .strictObject({
    issued_at: timestamp('When the token was issued'),
    issued_by: z.string().meta({ description: 'The name of the operator who issued the token.' }),
    expires_at: timestamp('When the token expires'),
    scope: z.string().meta({ description: 'The scopes of the token, separated by spaces.' }),
  })
  .meta({
    id: 'AuthorizationToken',
    description: 'The active API authorization token of a client, without its value.',
  });

export function authorizationTokenEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path,
      operationId: 'issueAuthorizationToken',
      permission: 'api_key:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Issue an API authorization token. An earlier token is revoked; the Client ID and secret do not change',
      params: clientParams,
      example: { scope: 'orders:read' },
      body: z.strictObject({
        scope: scopeText
          .optional()
          .meta({ description: 'The scopes of the token. By default, all that the client and the access key allow.' }),
        access_key_id: z
          .uuid()
          .optional()
          .meta({ description: 'The access key that identifies the contact. Required if the client requires one.' }),
        resource: resourceUri.optional().meta({ description: 'The resource server that the token is for (RFC 8707).' }),
      }),
      idempotent: true,
      answers: { 201: issuedSchema },
      problems: [409],
      handle: ({ operator, params, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const { access_key_id: accessKeyId, ...request } = body;
          const asked = { ...request, accessKeyId };
          const issued = await issueAuthorizationToken(transaction, core, operator, params.client_id, asked);
          return {
            status: 201,
            secretOf: { targetType: 'client', target: params.client_id },
            body: {
              access_token: issued.accessToken,
              token_type: 'Bearer',
              expires_in: lifetimeOf(issued.record),
              scope: issued.scope,
            },
          };
        }),
    }),
    endpoint({
      method: 'get',
      path,
      operationId: 'getAuthorizationToken',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get details of the active API authorization token, without the token itself',
      params: clientParams,
      answers: { 200: knownSchema },
      handle: async ({ params }) => {
        const token = await getAuthorizationToken(core.database, core, params.client_id);
        return {
          status: 200,
          body: {
            issued_at: token.issuedAt.toISOString(),
            issued_by: token.issuedBy,
            expires_at: token.expiresAt.toISOString(),
            scope: token.scope,
          },
        };
      },
    }),
    endpoint({
      method: 'delete',
      path,
      operationId: 'revokeAuthorizationToken',
      permission: 'api_key:manage',
      reach: 'organization',
      summary: 'Revoke the API authorization token',
      params: clientParams,
      answers: { 204: null },
      handle: async ({ operator, params }) => {
        await core.change((transaction) => revokeAuthorizationToken(transaction, core, operator, params.client_id));
        return { status: 204 };
      },
    }),
  ];
}
