import { z } from 'zod';
import { findContact } from '../../contacts/contact-store.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import { listPasskeys, type Passkey } from '../../passkeys/passkey-store.ts';
import { removePasskey } from '../../passkeys/verify-passkey.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import type { Operator } from '../operator-auth.ts';
import { nullableTimestamp, timestamp } from '../text.ts';
import { contactParams } from './contact-routes.ts';

const passkeyId = z.uuid().meta({ description: 'The ID of the passkey.' });

/** Endpoints that list and remove passkeys: one's own, and those of a contact. A browser registers them. */
export function passkeyEndpoints(core: Core): Endpoint[] {
  const list = async (contactId: string) => ({
    status: 200,
    body: { data: (await listPasskeys(core.database, contactId)).map(present) },
  });
  const remove = async (operator: Operator, contactId: string, id: string) => {
    await core.change((transaction) => removePasskey(transaction, core, operator, { contactId, id }));
    return { status: 204 };
  };

  return [
    endpoint({
      method: 'get',
      path: '/me/passkeys',
      operationId: 'listOwnPasskeys',
      permission: null,
      reach: 'organization',
      summary: 'List your passkeys, oldest first',
      answers: { 200: passkeysSchema },
      handle: ({ operator }) => list(operator.id),
    }),
    endpoint({
      method: 'delete',
      path: '/me/passkeys/{passkey_id}',
      operationId: 'deleteOwnPasskey',
      permission: null,
      reach: 'organization',
      summary: 'Remove one of your passkeys',
      params: z.strictObject({ passkey_id: passkeyId }),
      answers: { 204: null },
      handle: ({ operator, params }) => remove(operator, operator.id, params.passkey_id),
    }),
    endpoint({
      method: 'get',
      path: '/contacts/{id}/passkeys',
      operationId: 'listPasskeys',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'List the passkeys of a contact, oldest first',
      params: contactParams,
      answers: { 200: passkeysSchema },
      handle: async ({ params }) => {
        if (!(await findContact(core.database, params.id))) throw new NotFound('contact');
        return await list(params.id);
      },
    }),
    endpoint({
      method: 'delete',
      path: '/contacts/{id}/passkeys/{passkey_id}',
      operationId: 'deletePasskey',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'Remove a passkey of a contact',
      params: contactParams.extend({ passkey_id: passkeyId }),
      answers: { 204: null },
      handle: ({ operator, params }) => remove(operator, params.id, params.passkey_id),
    }),
  ];
}

export const passkeySchema = z
  .strictObject({
    id: passkeyId,
    name: z.string().meta({ description: 'The name that its owner gave it.' }),
    created_at: timestamp('When it was registered'),
    last_used_at: nullableTimestamp('When it was last used. Null: never.'),
  })
  .meta({ id: 'Passkey', description: 'A passkey (WebAuthn) of a contact.' });

const passkeysSchema = z
  .strictObject({ data: z.array(passkeySchema).meta({ description: 'The passkeys.' }) })
  .meta({ id: 'Passkeys', description: 'The passkeys of a contact.' });

function present({ id, name, createdAt, lastUsedAt }: Passkey): z.input<typeof passkeySchema> {
  return { id, name, created_at: createdAt.toISOString(), last_used_at: lastUsedAt?.toISOString() ?? null };
}
