import { appendAuditEvent } from '../audit/audit-log.ts';
import type { ManageDeps } from '../clients/manage-clients.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { issueSecret } from '../credentials/issue-secret.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { NotFound } from '../errors.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import type { Contact } from './contact.ts';
import {
  deleteOperatorToken,
  findContactByOperatorToken,
  lockContactManagers,
  replaceOperatorToken,
} from './contact-store.ts';
import { type Grantor, requireAnotherManager, requireContact, requireMayGrant } from './manage-contacts.ts';

/** Issues the contact's operator token. A previous token ends at once. No sealed copy is kept. */
export async function issueOperatorToken(
  transaction: Transaction,
  deps: ManageDeps,
  grantor: Grantor,
  contactId: string,
): Promise<{ contact: Contact; operatorToken: string }> {
  const at = new Date(deps.clock());
  const contact = await requireContact(transaction, contactId);
  // The token gives everything that the contact may do, so issuing it grants all of those permissions.
  requireMayGrant(grantor, contact.permissions);
  const { plaintext, sealed: _none, ...token } = issueSecret(deps.keyRing, 'kto_', 'operator-token-pepper', null);
  await replaceOperatorToken(transaction, contactId, token, at);
  await appendAuditEvent(transaction, {
    at,
    actor: grantor,
    action: 'operator_token.issue',
    targetType: 'operator_token',
    target: contactId,
    after: { hint: token.hint },
  });
  return { contact: { ...contact, operatorTokenHint: token.hint }, operatorToken: plaintext };
}

export async function revokeOperatorToken(
  transaction: Transaction,
  deps: ManageDeps,
  grantor: Grantor,
  contactId: string,
): Promise<void> {
  const managers = await lockContactManagers(transaction);
  const contact = await requireContact(transaction, contactId);
  requireMayGrant(grantor, contact.permissions);
  requireAnotherManager(managers, contactId);
  if (!(await deleteOperatorToken(transaction, contactId))) throw new NotFound('operator token');
  await appendAuditEvent(transaction, {
    at: new Date(deps.clock()),
    actor: grantor,
    action: 'operator_token.revoke',
    targetType: 'operator_token',
    target: contactId,
    before: { hint: contact.operatorTokenHint },
  });
}

/** Returns the contact that presents this operator token, as it is now. Malformed values cause no query. */
export async function authenticateOperator(
  deps: { database: Queryable; keyRing: KeyRing },
  operatorToken: string,
): Promise<Contact | undefined> {
  if (!isWellFormedSecret(operatorToken, 'kto_')) return undefined;
  return await findContactByOperatorToken(
    deps.database,
    verifiersOf(deps.keyRing, 'operator-token-pepper', operatorToken),
  );
}
