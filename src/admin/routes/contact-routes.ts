import { z } from 'zod';
import { type Contact, contactLanguages, permissions } from '../../contacts/contact.ts';
import { countContacts, findContact, listContacts } from '../../contacts/contact-store.ts';
import {
  createContact,
  deleteContact,
  issueOperatorToken,
  revokeOperatorToken,
  updateContact,
} from '../../contacts/manage-contacts.ts';
import type { Core } from '../../core.ts';
import { NotFound } from '../../errors.ts';
import { givenOrganization, organizationFilter, shownOrganization } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Answer, changeOnce } from '../idempotency.ts';
import { organizationFor, requireOwnOrganization } from '../operator-auth.ts';
import { createSortedPager, pageSchema, sortedQuery } from '../paging.ts';
import { etagOf } from '../presenters/present-client.ts';
import { text, timestamp } from '../text.ts';

export const contactParams = z.strictObject({ id: z.uuid().meta({ description: 'The ID of the contact.' }) });

export const contactName = text(200).meta({ description: 'The name of the person or partner.' });

const externalId = text(200)
  .nullable()
  .meta({ description: 'The ID of the contact in your own system. It must be unique.' });
const language = z
  .enum(contactLanguages)
  .nullable()
  .meta({ description: 'The language of mails (RFC 5646). Null: English.' });
const grants = z.array(z.enum(permissions)).meta({
  description:
    'What the contact may do as an operator. You can grant and withdraw only permissions that you have yourself.',
});
/**
 * Schema of an e-mail address. RFC 5321 §4.5.3.1 and RFC 1123 §2.1 limit the length of its parts, and mail servers
 * reject longer ones.
 */
export const email = z
  .email()
  .max(254)
  .refine(
    hasPartsWithinLimits,
    'must have at most 64 characters before the @, and after it labels of at most 63 that do not end with a hyphen',
  )
  .meta({ description: 'The e-mail address.' });

export const newContact = z.strictObject({
  name: contactName,
  organization_id: givenOrganization,
  email,
  external_id: externalId.optional(),
  language: language.optional(),
  permissions: grants.optional(),
});

export const contactPatch = z.strictObject({
  name: contactName.optional(),
  organization_id: givenOrganization.meta({
    description:
      'The ID of the organization that the contact moves to with its access keys. Its ceiling must allow them.',
  }),
  email: email.optional(),
  external_id: externalId.optional(),
  language: language.optional(),
  permissions: grants.optional(),
});

const contactsQuery = z.strictObject({
  ...sortedQuery,
  organization_id: organizationFilter,
  q: text(200)
    .optional()
    .meta({ description: 'Search text: the beginnings of words in the name or e-mail address, or an external ID.' }),
});

function hasPartsWithinLimits(address: string): boolean {
  const [local = '', domain = ''] = address.split('@');
  return local.length <= 64 && domain.split('.').every((label) => label.length <= 63 && !label.endsWith('-'));
}

export function contactEndpoints(core: Core): Endpoint[] {
  const pager = createSortedPager(core.keyRing, 'contacts');

  return [
    endpoint({
      method: 'post',
      path: '/contacts',
      operationId: 'createContact',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Create a contact',
      body: newContact,
      example: { name: 'Ann Operator', email: 'ann@example.com', permissions: ['integrations:view'] },
      idempotent: true,
      answers: { 201: contactSchema },
      problems: [409],
      handle: ({ operator, body, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const contact = await createContact(transaction, core, operator, {
            ...toInput(body),
            organizationId: organizationFor(operator, body.organization_id),
          });
          const { headers, body: shown } = show(contact);
          return { status: 201, headers: { ...headers, Location: `/admin/v1/contacts/${contact.id}` }, body: shown };
        }),
    }),
    endpoint({
      method: 'get',
      path: '/contacts',
      operationId: 'listContacts',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List contacts, by default newest first',
      query: contactsQuery,
      answers: { 200: pageSchema(contactSchema) },
      handle: async ({ query: { q, organization_id: organizationId, count, ...page } }) => {
        const slice = pager.open(page);
        const rows = await listContacts(core.database, { q, organizationId, ...slice });
        return pager.answer(
          rows,
          slice,
          presentContact,
          (contact) => contact,
          count && (await countContacts(core.database, { q, organizationId })),
        );
      },
    }),
    endpoint({
      method: 'get',
      path: '/contacts/{id}',
      operationId: 'getContact',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get a contact',
      params: contactParams,
      answers: { 200: contactSchema },
      handle: async ({ params }) => {
        const contact = await findContact(core.database, params.id);
        if (!contact) throw new NotFound('contact');
        return show(contact);
      },
    }),
    endpoint({
      method: 'patch',
      path: '/contacts/{id}',
      operationId: 'updateContact',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Change a contact. Only the fields that are sent change',
      params: contactParams,
      body: contactPatch,
      example: { email: 'ann@example.org' },
      conditional: true,
      answers: { 200: contactSchema },
      problems: [409],
      handle: async ({ operator, params, body, expectedRevisions }) => {
        requireOwnOrganization(operator, body.organization_id);
        return await core.change(async (transaction) =>
          show(await updateContact(transaction, core, operator, params.id, toInput(body), expectedRevisions)),
        );
      },
    }),
    endpoint({
      method: 'delete',
      path: '/contacts/{id}',
      operationId: 'deleteContact',
      permission: 'contacts:manage',
      reach: 'organization',
      approval: { act: 'delete', of: 'contact' },
      summary: 'Delete a contact. Its history stays in the audit log',
      params: contactParams,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params }) => {
        await core.change((transaction) => deleteContact(transaction, core, operator, params.id));
        return { status: 204 };
      },
    }),
  ];
}

function toInput<Body extends z.output<typeof contactPatch>>(body: Body) {
  const { external_id: externalId, organization_id: organizationId, ...rest } = body;
  return { ...rest, externalId, organizationId };
}

function show(contact: Contact): Answer {
  return { status: 200, headers: { ETag: etagOf(contact) }, body: presentContact(contact) };
}

const path = '/contacts/{id}/operator-token';

export function operatorTokenEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path,
      operationId: 'issueOperatorToken',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      summary: 'Issue the operator token of a contact. An earlier token stops working',
      params: contactParams,
      idempotent: true,
      answers: { 201: contactWithTokenSchema },
      handle: ({ operator, params, idempotent }) =>
        changeOnce(core, idempotent, async (transaction) => {
          const { contact, operatorToken } = await issueOperatorToken(transaction, core, operator, params.id);
          return {
            status: 201,
            secretOf: { targetType: 'operator_token', target: contact.id },
            body: { ...presentContact(contact), operator_token: operatorToken },
          };
        }),
    }),
    endpoint({
      method: 'delete',
      path,
      operationId: 'revokeOperatorToken',
      permission: 'contacts:manage',
      reach: 'organization',
      summary: 'Revoke the operator token of a contact',
      params: contactParams,
      answers: { 204: null },
      problems: [409],
      handle: async ({ operator, params }) => {
        await core.change((transaction) => revokeOperatorToken(transaction, core, operator, params.id));
        return { status: 204 };
      },
    }),
  ];
}

const contactFields = {
  id: z.uuid().meta({ description: 'The ID of the contact.' }),
  organization_id: shownOrganization,
  name: z.string().meta({ description: 'The name of the person or partner.' }),
  email: z.string().meta({ description: 'The e-mail address.' }),
  external_id: z.string().nullable().meta({ description: 'The ID of the contact in your own system.' }),
  // Not an enum: clients that openapi-generator makes for Java reject null in one.
  language: z.string().nullable().meta({ description: 'The language of mails (RFC 5646). Null: English.' }),
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
const contactWithTokenSchema = z
  .strictObject({ ...contactFields, operator_token: z.string().meta({ description: 'The new operator token.' }) })
  .meta({ id: 'ContactWithOperatorToken', description: 'A contact with its new operator token.' });

function presentContact(contact: Contact): z.input<typeof contactSchema> {
  return {
    id: contact.id,
    organization_id: contact.organizationId,
    name: contact.name,
    email: contact.email,
    external_id: contact.externalId,
    language: contact.language,
    permissions: [...contact.permissions],
    operator_token_hint: contact.operatorTokenHint === null ? null : `…${contact.operatorTokenHint}`,
    created_at: contact.createdAt.toISOString(),
    updated_at: contact.updatedAt.toISOString(),
  };
}
