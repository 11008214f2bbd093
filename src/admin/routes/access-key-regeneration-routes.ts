import { z } from 'zod';
import { findKnownAccessKey, requireAccessKeyOwner } from '../../access-keys/access-key-store.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import type { Endpoint } from '../endpoint.ts';
import { timestamp } from '../text.ts';
import { accessKeyParams } from './access-key-routes.ts';
import { regenerateFields, regenerationEndpoints } from './regeneration-routes.ts';

const regeneratedSchema = z
  .strictObject({
    regeneration_id: z.uuid().meta({ description: 'The ID of the regeneration.' }),
    id: z.uuid().meta({ description: 'The ID of the access key.' }),
    access_key: z.string().meta({ description: 'The new value of the key.' }),
    previous: z
      .strictObject({ retires_at: timestamp('When the previous value stops working') })
      .meta({ description: 'The previous value.' }),
  })
  .meta({ id: 'RegeneratedAccessKey', description: 'The new value of an access key.' });

/** Endpoints that review, regenerate, finish and undo the regeneration of an access key. */
export function accessKeyRegenerationEndpoints(core: Core): Endpoint[] {
  return regenerationEndpoints(core, {
    path: '/access-keys/{id}',
    noun: 'AccessKey',
    rotateOperationId: 'rotateAccessKey',
    params: accessKeyParams,
    permission: 'integrations:edit',
    requireOwner: (transaction, params) => requireAccessKeyOwner(transaction, params.id),
    findOwner: async (database, params) => {
      if (!(await findKnownAccessKey(database, params.id))) throw new NotFound('access key');
      return { kind: 'access_key', id: params.id };
    },
    body: z.strictObject(regenerateFields),
    parse: async (body) => ({
      confirmation: body.confirmation,
      overlapSeconds: body.overlap_seconds,
      finishWhenUnused: body.finish_when_unused,
      revokeTokens: body.revoke_tokens,
    }),
    reviewBody: z.strictObject({}),
    parseReplace: async () => undefined,
    answer: regeneratedSchema,
    present: (owner, { regenerationId, plaintext, previous }) => ({
      regeneration_id: regenerationId,
      id: owner.id,
      access_key: plaintext,
      previous: { retires_at: previous.retiresAt.toISOString() },
    }),
  });
}
