import { type Actor, appendAuditEvent } from '../../../audit/audit-log.ts';
import type { ManageDeps } from '../../../clients/manage-clients.ts';
import { requireContact } from '../../../contacts/manage-contacts.ts';
import type { Queryable, Row, Transaction } from '../../../storage/database.ts';
import { digest, type Proved, randomCode } from './session.ts';

const lifetimeMs = 600_000;

/**
 * Creates a link that signs a contact in to the console once, within ten minutes. Only the command line may call this,
 * because its users have full access anyway.
 * @returns the path of the link.
 */
export async function issueConsoleLink(
  transaction: Transaction,
  deps: Pick<ManageDeps, 'clock'>,
  actor: Actor,
  contactId: string,
): Promise<string> {
  const now = deps.clock();
  await requireContact(transaction, contactId);
  const code = randomCode();
  await transaction.query(
    `INSERT INTO console_links (code, contact, operator_token, expires_at)
     SELECT $1, c.id, t.verifier, $3 FROM contacts c LEFT JOIN operator_tokens t ON t.contact = c.id WHERE c.id = $2`,
    [digest(code), contactId, new Date(now + lifetimeMs)],
  );
  await appendAuditEvent(transaction, {
    at: new Date(now),
    actor,
    action: 'console.link',
    targetType: 'contact',
    target: contactId,
  });
  return `/console/sign-in?code=${code}`;
}

/** Consumes the code of a link. Returns the link's contact, or undefined if the code is unknown, used or expired. */
export async function useConsoleLink(database: Queryable, code: string, now: number): Promise<Proved | undefined> {
  const rows = await database.query<Row & { contact: string; operator_token: Uint8Array | null }>(
    'DELETE FROM console_links WHERE code = $1 AND expires_at > $2 RETURNING contact, operator_token',
    [digest(code), new Date(now)],
  );
  const row = rows[0];
  return row && { contact: row.contact, operatorToken: row.operator_token };
}
