import { issueOperatorToken, revokeOperatorToken } from '../../contacts/manage-contacts.ts';
import type { Core } from '../../core.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { contactWithTokenSchema, presentContact } from '../presenters/present-contact.ts';
import { contactParams } from './contact-routes.ts';

const path = '/contacts/{id}/operator-token';

export function operatorTokenEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'post',
      path,
      permission: 'contacts:manage',
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
      permission: 'contacts:manage',
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
