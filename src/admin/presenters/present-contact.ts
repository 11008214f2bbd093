import { z } from 'zod';
import { type Contact, permissions } from '../../contacts/contact.ts';
import { timestamp } from '../text.ts';

const contactFields = {
  id: z.uuid().meta({ description: 'The ID of the contact.' }),
  name: z.string().meta({ description: 'The name of the person or partner.' }),
  email: z.string().meta({ description: 'The e-mail address.' }),
  external_id: z.string().nullable().meta({ description: 'The ID of the contact in your own system.' }),
  permissions: z.array(z.enum(permissions)).meta({ description: 'What the contact may do as an operator.' }),
  operator_token_hint: z.string().nullable().meta({
    description: '`…` and the last four characters of the operator token. Null: the contact has no token.',
    example: '…x7Qz',
  }),
  created_at: timestamp('When the contact was created'),
  updated_at: timestamp('When the contact was last changed'),
};

export const contactSchema = z
  .strictObject(contactFields)
  .meta({ id: 'Contact', description: 'A person or partner who holds access keys, or an operator.' });

/** Schema of a contact with its plaintext operator token, which only the request that issues the token returns. */
export const contactWithTokenSchema = z
  .strictObject({ ...contactFields, operator_token: z.string().meta({ description: 'The new operator token.' }) })
  .meta({ id: 'ContactWithOperatorToken', description: 'A contact with its new operator token.' });

export function presentContact(contact: Contact): z.input<typeof contactSchema> {
  return {
    id: contact.id,
    name: contact.name,
    email: contact.email,
    external_id: contact.externalId,
    permissions: [...contact.permissions],
    operator_token_hint: contact.operatorTokenHint === null ? null : `…${contact.operatorTokenHint}`,
    created_at: contact.createdAt.toISOString(),
    updated_at: contact.updatedAt.toISOString(),
  };
}
