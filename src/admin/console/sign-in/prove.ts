import { appendAuditEvent } from '../../../audit/audit-log.ts';
import { findContact } from '../../../contacts/contact-store.ts';
import type { Core } from '../../../core.ts';
import { isWellFormedSecret } from '../../../credentials/credential-format.ts';
import { verifiersOf } from '../../../credentials/verifier.ts';
import { KeyturnError } from '../../../errors.ts';
import type { Row, Transaction } from '../../../storage/database.ts';
import { useConsoleLink } from './console-link.ts';
import { endSession, type Proved, renewSession, startSession } from './session.ts';

/** With what somebody proves who they are. */
export type Proof = { token: string } | { code: string };

/** Where they are, the cookie that their browser has, and how the next one begins. */
export type Visitor = { address: string; cookie: string | undefined; mark: string };

/** Signs in, with a new session. The one that the browser had ends. @returns the new cookie. @throws {KeyturnError} 401 */
export async function signIn(core: Core, proof: Proof, { address, cookie, mark }: Visitor): Promise<string> {
  const now = core.clock();
  return await core.change(async (transaction) => {
    const proved = await prove(transaction, core, proof);
    if (!proved) throw refusal(proof);
    if (cookie !== undefined) await endSession(transaction, cookie);
    await audit(transaction, 'console.sign_in', proved, address, now);
    return await startSession(transaction, proved, { mark, now });
  });
}

/**
 * Proves again who is signed in, before something that asks for it. Also lets a session go on with the operator token that its own
 * contact was just issued: the caller has found the session before that ended the earlier token.
 * @returns the new cookie.
 * @throws {KeyturnError} 401 if this is not an operator token of the contact that is signed in.
 */
export async function proveAgain(
  core: Core,
  contact: string,
  token: string,
  { address, cookie = '', mark }: Visitor,
): Promise<string> {
  const now = core.clock();
  return await core.change(async (transaction) => {
    const proved = await prove(transaction, core, { token });
    if (proved?.contact !== contact) throw refusal({ token });
    await audit(transaction, 'console.prove', proved, address, now);
    return await renewSession(transaction, cookie, proved, { mark, now });
  });
}

async function prove(transaction: Transaction, core: Core, proof: Proof): Promise<Proved | undefined> {
  if ('code' in proof) return await useConsoleLink(transaction, proof.code, core.clock());
  if (!isWellFormedSecret(proof.token, 'kto_')) return undefined;
  const rows = await transaction.query<Row & { contact: string; verifier: Uint8Array }>(
    'SELECT contact, verifier FROM operator_tokens WHERE verifier = ANY ($1::bytea[])',
    [verifiersOf(core.keyRing, 'operator-token-pepper', proof.token)],
  );
  const row = rows[0];
  // A session holds the verifier that was proved here: if the token is replaced in between, it is dead from its first request on.
  return row && { contact: row.contact, operatorToken: row.verifier };
}

function refusal(proof: Proof): KeyturnError {
  const message =
    'code' in proof
      ? 'This link was used already, or it is older than ten minutes. Make a new one, or sign in with your operator token.'
      : 'This is not a valid operator token. It may have been replaced or revoked since you got it.';
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
