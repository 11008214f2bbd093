import { z } from 'zod';
import { permissions } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';

const meSchema = z
  .strictObject({
    id: z.string().meta({
      description: 'The ID of the contact that the operator token belongs to.',
      example: '3f0c1c1e-52a4-4b53-9a0f-0d8f3c7a2b11',
    }),
    name: z.string().meta({ description: 'The name of the contact.', example: 'Ann Operator' }),
    permissions: z.array(z.enum(permissions)).meta({ description: 'What the operator may do.' }),
    organization_id: z.uuid().nullable().meta({
      description: 'The organization that the operator is limited to. Null: the whole deployment.',
    }),
    issuer: z.string().meta({
      description: 'The issuer of the deployment, so that a program knows which one it calls.',
      example: 'https://auth.example.com',
    }),
  })
  .meta({ id: 'Me', description: 'The operator who makes the request.' });

export function meEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/me',
      operationId: 'getMe',
      permission: null,
      reach: 'organization',
      summary: 'Get the operator who makes the request',
      answers: { 200: meSchema },
      handle: async ({ operator: { id, name, permissions: held, organizationId } }) => ({
        status: 200,
        body: { id, name, permissions: held, organization_id: organizationId, issuer: core.config.issuer },
      }),
    }),
  ];
}
