import { type Actor, appendAuditEvent } from '../../../audit/audit-log.ts';
import type { ManageDeps } from '../../../clients/manage-clients.ts';
import { requireContact } from '../../../contacts/manage-contacts.ts';
import type { Queryable, Row, Transaction } from '../../../storage/database.ts';
import { digest, type Proved, randomCode } from './session.ts';

const lifetimeMs = 600_000;

/**
 * Makes a link that signs a contact in to the console, once, within ten minutes. Whoever may make one may do everything anyway: it
 * is for the command line alone.
 * @returns its path.
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

/** The contact that a link is for; it is good for nothing from then on. */
export async function useConsoleLink(database: Queryable, code: string, now: number): Promise<Proved | undefined> {
  const rows = await database.query<Row & { contact: string; operator_token: Uint8Array | null }>(
    'DELETE FROM console_links WHERE code = $1 AND expires_at > $2 RETURNING contact, operator_token',
    [digest(code), new Date(now)],
  );
  const row = rows[0];
  return row && { contact: row.contact, operatorToken: row.operator_token };
}
