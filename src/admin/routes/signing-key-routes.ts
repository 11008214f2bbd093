import { z } from 'zod';
import type { Core } from '../../core.ts';
import { listSigningKeys, type StoredSigningKey } from '../../tokens/signing-key-store.ts';
import { revokeSigningKey, rotateSigningKeys } from '../../tokens/signing-keys.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import type { Answer } from '../idempotency.ts';
import { changeOnce } from '../idempotency.ts';
import { nullableTimestamp, timestamp } from '../text.ts';

const keySchema = z
  .strictObject({
    kid: z.string().meta({ description: 'The ID of the key: its JWK thumbprint (RFC 7638).' }),
    alg: z.string().meta({ description: 'The signature algorithm.', example: 'ES256' }),
    status: z.enum(['next', 'current', 'retired']).meta({
      description:
        '`current`: signs tokens. `next`: is published and will sign next. `retired`: signed tokens that may still be valid.',
    }),
    created_at: timestamp('When the key was created'),
    current_since: nullableTimestamp('When the key started to sign. Null: it has not signed yet.'),
    retired_at: nullableTimestamp('When the key stopped signing. Null: it has not stopped.'),
  })
  .meta({ id: 'SigningKey', description: 'A key that signs JWT access tokens.' });

export const keysSchema = z.strictObject({ data: z.array(keySchema).meta({ description: 'The published keys.' }) });

export function signingKeyEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/signing-keys',
      operationId: 'listSigningKeys',
      permission: 'integrations:view',
      summary: 'List the published signing keys',
      answers: { 200: keysSchema },
      handle: async () => present(await listSigningKeys(core.database, new Date(core.clock()))),
    }),
    endpoint({
      method: 'post',
      path: '/signing-keys/rotate',
      operationId: 'rotateSigningKeys',
      permission: 'api_key:manage',
      summary: 'Rotate the signing keys: the next key signs, and a new next key is published',
      idempotent: true,
      answers: { 200: keysSchema },
      handle: ({ operator, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) =>
          present(await rotateSigningKeys(transaction, core, operator)),
        ),
    }),
    endpoint({
      method: 'post',
      path: '/signing-keys/{kid}/revoke',
      operationId: 'revokeSigningKey',
      permission: 'api_key:manage',
      summary:
        'Revoke a signing key that may have been stolen. All JWTs that it signed become inactive. If it is the current key, the next key signs',
      params: z.strictObject({
        kid: z
          .string()
          .regex(/^[\w-]{1,128}$/)
          .meta({ description: 'The ID of the key.' }),
      }),
      answers: { 200: keysSchema },
      handle: ({ operator, params }) =>
        core.change(async (transaction) => present(await revokeSigningKey(transaction, core, operator, params.kid))),
    }),
  ];
}

function present(keys: readonly StoredSigningKey[]): Answer {
  return {
    status: 200,
    body: {
      data: keys.map((key) => ({
        kid: key.kid,
        alg: key.alg,
        status: key.state,
        created_at: key.createdAt.toISOString(),
        current_since: key.currentAt?.toISOString() ?? null,
        retired_at: key.retiredAt?.toISOString() ?? null,
      })),
    },
  };
}
