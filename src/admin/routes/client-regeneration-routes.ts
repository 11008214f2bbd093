import { z } from 'zod';
import { keyDepsOf } from '../../clients/client-rules.ts';
import { findKnownClient, requireClientOwner } from '../../clients/client-store.ts';
import { readReplacement } from '../../clients/replacement.ts';
import type { Core } from '../../core.ts';
import type { Registration } from '../../credentials/registration.ts';
import { InvalidInput, NotFound } from '../../errors.ts';
import type { SecretOwner } from '../../secrets/secret-store.ts';
import type { Transaction } from '../../storage/database.ts';
import { hasEnabledTrust } from '../../trusts/trust-store.ts';
import { replacement, replacementOf } from '../client-input.ts';
import type { Endpoint } from '../endpoint.ts';
import { timestamp } from '../text.ts';
import { clientParams } from './client-routes.ts';
import { regenerateFields, regenerationEndpoints } from './regeneration-routes.ts';

const regeneratedSchema = z
  .strictObject({
    regeneration_id: z.uuid().meta({ description: 'The ID of the regeneration.' }),
    client_id: z.string().meta({ description: 'The Client ID that the new secret belongs to.' }),
    client_secret: z
      .string()
      .optional()
      .meta({ description: 'The new secret. Absent if the client authenticates without a secret.' }),
    previous: z
      .strictObject({
        client_id: z.string().meta({ description: 'The Client ID that the previous secret belongs to.' }),
        retires_at: timestamp('When the previous secret stops working'),
      })
      .meta({ description: 'The previous secret.' }),
  })
  .meta({ id: 'RegeneratedClientSecret', description: 'The new secret of a client.' });

/**
 * Endpoints that review, regenerate, finish and undo the regeneration of a client's secret, keys, certificate or way of
 * authentication and, on request, its Client ID.
 */
export function clientRegenerationEndpoints(core: Core): Endpoint[] {
  return regenerationEndpoints(core, {
    path: '/clients/{client_id}',
    noun: 'Client',
    rotateOperationId: 'rotateClientSecret',
    params: clientParams,
    permission: 'api_key:manage',
    requireOwner: (transaction, params) => requireClientOwner(transaction, params.client_id),
    findOwner: async (database, params) => {
      const known = await findKnownClient(database, params.client_id);
      if (!known) throw new NotFound('client');
      return { kind: 'client', id: known.client.id };
    },
    body: z.strictObject({
      ...regenerateFields,
      replace: replacement.optional(),
      new_client_id: z.boolean().optional().meta({
        description:
          'Whether to generate a new Client ID too. The previous one works with the previous secret until the grace period ends.',
      }),
    }),
    reviewBody: z.strictObject({ replace: replacement.optional() }),
    parseReplace: (body, owner, transaction) => parseReplace(core, body, owner, transaction),
    parse: async (body, owner, transaction) => ({
      replace: await parseReplace(core, body, owner, transaction),
      confirmation: body.confirmation,
      overlapSeconds: body.overlap_seconds,
      finishWhenUnused: body.finish_when_unused,
      newClientId: body.new_client_id,
      revokeTokens: body.revoke_tokens,
    }),
    answer: regeneratedSchema,
    present: (owner, { regenerationId, secret, plaintext, previous }) => ({
      regeneration_id: regenerationId,
      client_id: secret.clientId ?? owner.target,
      ...(plaintext === undefined ? {} : { client_secret: plaintext }),
      previous: { client_id: previous.clientId ?? owner.target, retires_at: previous.retiresAt.toISOString() },
    }),
  });
}

async function parseReplace(
  core: Core,
  { replace }: { replace?: z.output<typeof replacement> | undefined },
  { id, registration, dialects }: SecretOwner,
  transaction: Transaction,
): Promise<Registration | undefined> {
  if (!replace || !registration) return undefined;
  const next = readReplacement(registration, replacementOf(replace), keyDepsOf(core, { dialects }));
  if (next.authMethod === 'workload_identity' && !(await hasEnabledTrust(transaction, id, replace.trust))) {
    throw new InvalidInput(
      replace.trust === undefined
        ? '`replace`: the client has no enabled trust. Create one first.'
        : '`replace.trust`: the client has no enabled trust with this ID.',
    );
  }
  return next;
}
