import { z } from 'zod';
import { type Contact, permissions } from '../../contacts/contact.ts';
import { timestamp } from '../text.ts';

const contactFields = {
  id: z.uuid(),
  name: z.string(),
  email: z.string(),
  external_id: z.string().nullable(),
  permissions: z.array(z.enum(permissions)),
  operator_token_hint: z.string().nullable().meta({ description: 'The last four characters', example: '…x7Qz' }),
  created_at: timestamp,
  updated_at: timestamp,
};

export const contactSchema = z.strictObject(contactFields).meta({ id: 'Contact' });

/** Schema of a contact with its plaintext operator token, which only the request that issues the token returns. */
export const contactWithTokenSchema = z
  .strictObject({ ...contactFields, operator_token: z.string() })
  .meta({ id: 'ContactWithOperatorToken' });

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
