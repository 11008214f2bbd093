import { z } from 'zod';
import { disableKeysOfContact, reviewKeysOfContact } from '../../access-keys/disable-keys-of-contact.ts';
import { findContact } from '../../contacts/contact-store.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { nullableTimestamp } from '../text.ts';
import { contactParams } from './contact-routes.ts';

const keyFields = {
  id: z.uuid().meta({ description: 'The ID of the access key.' }),
  name: z.string().meta({ description: 'The name of the access key.' }),
};

export const keysReviewSchema = z
  .strictObject({
    contact_id: z.uuid().meta({ description: 'The ID of the contact.' }),
    total: z.int().meta({ description: 'How many access keys of the contact are enabled.' }),
    access_keys: z
      .array(
        z.strictObject({
          ...keyFields,
          last_used_at: nullableTimestamp('When the key was last used, accurate to an hour. Null: never.'),
          tokens_24h: z.int().meta({ description: 'How many tokens were issued with the key in the last 24 hours.' }),
          source_count: z.int().meta({ description: 'How many sources got these tokens.' }),
          integrations: z
            .array(
              z.strictObject({
                client_id: z.string().meta({ description: 'The Client ID.' }),
                name: z.string().meta({ description: 'The name of the integration.' }),
              }),
            )
            .meta({
              description:
                'The integrations that may use the key and were used from the same addresses and programs in the last 24 hours, at most 10.',
            }),
        }),
      )
      .meta({ description: 'The enabled access keys, the last used first: at most 200.' }),
  })
  .meta({ id: 'AccessKeysReview', description: 'What fails if the access keys of a contact are disabled.' });

const disabledSchema = z
  .strictObject({
    contact_id: z.uuid().meta({ description: 'The ID of the contact.' }),
    disabled: z.array(z.strictObject(keyFields)).meta({ description: 'The access keys that were enabled before.' }),
  })
  .meta({ id: 'DisabledAccessKeys', description: 'The access keys that were disabled.' });

/** Endpoints that act on all access keys of a contact. */
export function contactKeysEndpoints(core: Core): Endpoint[] {
  const path = '/contacts/{id}/access-keys/disable';
  return [
    endpoint({
      method: 'get',
      path,
      permission: 'integrations:view',
      reach: 'organization',
      operationId: 'reviewContactAccessKeys',
      summary: 'Review what fails if all access keys of a contact are disabled',
      params: contactParams,
      answers: { 200: keysReviewSchema },
      handle: async ({ params: { id } }) => {
        if (!(await findContact(core.database, id))) throw new NotFound('contact');
        await core.usage.flush();
        const { total, keys } = await reviewKeysOfContact(core.database, id, core.clock());
        const body: z.input<typeof keysReviewSchema> = {
          contact_id: id,
          total,
          access_keys: keys.map((key) => ({
            id: key.id,
            name: key.name,
            last_used_at: key.lastUsedAt?.toISOString() ?? null,
            tokens_24h: key.tokens24h,
            source_count: key.sourceCount,
            integrations: key.integrations,
          })),
        };
        return { status: 200, body };
      },
    }),
    endpoint({
      method: 'post',
      path,
      permission: 'integrations:edit',
      reach: 'organization',
      operationId: 'disableContactAccessKeys',
      summary: 'Disable all access keys of a contact. Keys that are already disabled do not change',
      params: contactParams,
      answers: { 200: disabledSchema },
      handle: ({ operator, params: { id } }) =>
        core.change(async (transaction) => {
          const disabled = await disableKeysOfContact(transaction, core, operator, id);
          return { status: 200, body: { contact_id: id, disabled } };
        }),
    }),
  ];
}
