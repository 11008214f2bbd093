import { z } from 'zod';
import type { Core } from '../../core.ts';
import {
  getAuthorizationToken,
  issueAuthorizationToken,
  revokeAuthorizationToken,
} from '../../tokens/authorization-token.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { resourceUri, scopeText, timestamp } from '../text.ts';
import { clientParams } from './client-routes.ts';

const path = '/clients/{client_id}/authorization-token';

export const issuedSchema = z
  .strictObject({
    access_token: z.string(),
    token_type: z.literal('Bearer'),
    expires_in: z.int().meta({ description: 'Seconds' }),
    scope: z.string(),
  })
  .meta({ id: 'IssuedAuthorizationToken' });

export const knownSchema = z
  .strictObject({ issued_at: timestamp, issued_by: z.string(), expires_at: timestamp, scope: z.string() })
  .meta({ id: 'AuthorizationToken' });

export function authorizationTokenEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path,
      permission: 'api_key:manage',
      asksProof: true,
      summary: 'Issue an API authorization token; an earlier one is dead at once, the credentials stay',
      params: clientParams,
      body: z.strictObject({
        scope: scopeText.optional(),
        access_key_id: z.uuid().optional(),
        resource: resourceUri.optional(),
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
              expires_in: core.ttlSeconds,
              scope: issued.scope,
            },
          };
        }),
    }),
    endpoint({
      method: 'get',
      path,
      permission: 'integrations:view',
      summary: 'Look at the API authorization token that is live: who issued it, until when; never the token',
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
      permission: 'api_key:manage',
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
