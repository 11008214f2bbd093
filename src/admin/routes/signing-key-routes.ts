import { z } from 'zod';
import type { Core } from '../../core.ts';
import { listSigningKeys, type StoredSigningKey } from '../../tokens/signing-key-store.ts';
import { revokeSigningKey, rotateSigningKeys } from '../../tokens/signing-keys.ts';
import type { Answer } from '../answer.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { timestamp } from '../text.ts';

const keySchema = z
  .strictObject({
    kid: z.string().meta({ description: 'The JWK thumbprint (RFC 7638)' }),
    alg: z.string(),
    status: z.enum(['next', 'current', 'retired']),
    created_at: timestamp,
    current_since: timestamp.nullable(),
    retired_at: timestamp.nullable(),
  })
  .meta({ id: 'SigningKey' });

export const keysSchema = z.strictObject({ data: z.array(keySchema) });

export function signingKeyEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/signing-keys',
      permission: 'integrations:view',
      summary: 'List the published signing keys: next, current, and retired ones whose tokens may still live',
      answers: { 200: keysSchema },
      handle: async () => present(await listSigningKeys(core.database, new Date(core.clock()))),
    }),
    endpoint({
      method: 'post',
      path: '/signing-keys/rotate',
      permission: 'api_key:manage',
      summary: 'Let the next key sign, and publish a new next one',
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
      permission: 'api_key:manage',
      summary:
        'Withdraw a key that may have been stolen: every JWT that it signed is inactive at once. If it is the current one, the next one signs from now on',
      params: z.strictObject({ kid: z.string().regex(/^[\w-]{1,128}$/) }),
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
