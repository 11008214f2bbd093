import { type Actor, appendAuditEvent } from '../../../audit/audit-log.ts';
import type { ManageDeps } from '../../../clients/manage-clients.ts';
import { findContact } from '../../../contacts/contact-store.ts';
import { requireContact } from '../../../contacts/manage-contacts.ts';
import type { Core } from '../../../core.ts';
import { isWellFormedSecret } from '../../../credentials/credential-format.ts';
import { verifiersOf } from '../../../credentials/verifier.ts';
import { KeyturnError } from '../../../errors.ts';
import type { Queryable, Row, Transaction } from '../../../storage/database.ts';
import { digest, forgetSession, type Proved, randomCode, renewSession, startSession, type Visitor } from './session.ts';

/** Proof of identity: an operator token, or the code of a sign-in link. */
export type Proof = { token: string } | { code: string };

/**
 * Signs in with a new session, and ends the browser's previous one.
 * @returns the new cookie.
 * @throws {KeyturnError} 401 if the proof is not valid.
 */
export async function signIn(core: Core, proof: Proof, visitor: Visitor): Promise<string> {
  return await core.change(async (transaction) => {
    const proved = await prove(transaction, core, proof);
    if (!proved) throw refusal(proof);
    if (visitor.cookie !== undefined) await forgetSession(transaction, visitor.cookie);
    await audit(transaction, 'console.sign_in', proved, visitor.address, core.clock());
    return await startSession(transaction, core, proved, visitor);
  });
}

/**
 * Renews the proof of identity of a signed-in contact. It also moves a session to a newly issued operator token of its
 * contact: the caller has looked up the session before the previous token was revoked.
 * @returns the new cookie.
 * @throws {KeyturnError} 401 if the token is not the operator token of the contact.
 */
export async function proveAgain(core: Core, contact: string, token: string, visitor: Visitor): Promise<string> {
  const now = core.clock();
  return await core.change(async (transaction) => {
    const proved = await prove(transaction, core, { token });
    if (proved?.contact !== contact) throw refusal({ token });
    await audit(transaction, 'console.prove', proved, visitor.address, now);
    return await renewSession(transaction, proved, visitor, now);
  });
}

async function prove(transaction: Transaction, core: Core, proof: Proof): Promise<Proved | undefined> {
  if ('code' in proof) return await useConsoleLink(transaction, proof.code, core.clock());
  if (!isWellFormedSecret(proof.token, 'kto_')) return undefined;
  const rows = await transaction.query<Row & { contact: string; verifier: Uint8Array }>(
    `SELECT t.contact, t.verifier FROM operator_tokens t JOIN contacts c ON c.id = t.contact
     JOIN organizations o ON o.id = c.organization WHERE t.verifier = ANY ($1::bytea[]) AND o.enabled`,
    [verifiersOf(core.keyRing, 'operator-token-pepper', proof.token)],
  );
  const row = rows[0];
  // The session stores this verifier. If the token is replaced before the session starts, its first request is
  // rejected.
  return row && { contact: row.contact, operatorToken: row.verifier, method: 'operator_token' };
}

function refusal(proof: Proof): KeyturnError {
  const message =
    'code' in proof
      ? 'This link was already used, or it is older than ten minutes. Create a new link, or sign in with your operator token.'
      : 'This operator token is not valid. It may have been replaced or revoked.';
  return new KeyturnError('unauthenticated', 401, message);
}

async function audit(
  transaction: Transaction,
  action: string,
  { contact }: Proved,
  address: string,
  at: number,
): Promise<void> {
  await appendAuditEvent(transaction, {
    at: new Date(at),
    actor: { id: contact, name: (await findContact(transaction, contact))?.name ?? '', address },
    action,
    targetType: 'contact',
    target: contact,
  });
}

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
async function useConsoleLink(database: Queryable, code: string, now: number): Promise<Proved | undefined> {
  const rows = await database.query<Row & { contact: string; operator_token: Uint8Array | null }>(
    'DELETE FROM console_links WHERE code = $1 AND expires_at > $2 RETURNING contact, operator_token',
    [digest(code), new Date(now)],
  );
  const row = rows[0];
  return row && { contact: row.contact, operatorToken: row.operator_token, method: 'link' };
}
