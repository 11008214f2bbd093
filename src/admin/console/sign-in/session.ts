import { createHash, randomBytes } from 'node:crypto';
import type { Permission } from '../../../contacts/contact.ts';
import { KeyturnError } from '../../../errors.ts';
import type { Queryable, Row, Transaction } from '../../../storage/database.ts';

/** A signed-in operator with their current permissions. */
export type Session = {
  /** Unique name of the session. It does not grant access, and stays the same when the cookie is renewed. */
  name: string;
  operator: { id: string; name: string; permissions: readonly Permission[] };
  /** Time of the last proof of identity. */
  provedAt: Date;
};

/** A contact that has proved its identity, and the verifier of its current operator token; null if it has no token. */
export type Proved = { contact: string; operatorToken: Uint8Array | null };

const lifetimeMs = 8 * 3_600_000;

/** Hashes a random value for storage (SHA-256). */
export function digest(value: string): Uint8Array {
  return createHash('sha256').update(value).digest();
}

/** Returns 256 random bits for a cookie or a link, as base64url. */
export function randomCode(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * Finds the session of a cookie. Returns undefined if it has expired, if the contact's operator token was issued,
 * replaced or revoked since sign-in, or if its permissions have changed.
 */
export async function findSession(database: Queryable, cookie: string, now: number): Promise<Session | undefined> {
  const rows = await database.query<
    Row & { session: string; contact: string; name: string; permissions: Permission[]; proved_at: Date }
  >(
    `SELECT s.name AS session, s.contact, c.name, c.permissions, s.proved_at
     FROM console_sessions s JOIN contacts c ON c.id = s.contact LEFT JOIN operator_tokens t ON t.contact = c.id
     WHERE s.id = $1 AND s.expires_at > $2 AND t.verifier IS NOT DISTINCT FROM s.operator_token
       AND c.permissions <@ s.permissions AND s.permissions <@ c.permissions`,
    [digest(cookie), new Date(now)],
  );
  const row = rows[0];
  return (
    row && {
      name: row.session,
      operator: { id: row.contact, name: row.name, permissions: row.permissions },
      provedAt: row.proved_at,
    }
  );
}

/**
 * Starts a session of 8 hours.
 * @param mark prefix of the cookie.
 * @returns the cookie's value.
 */
export async function startSession(
  transaction: Transaction,
  { contact, operatorToken }: Proved,
  { mark, now }: { mark: string; now: number },
): Promise<string> {
  const cookie = mark + randomCode();
  await transaction.query(
    `INSERT INTO console_sessions (id, contact, operator_token, permissions, created_at, proved_at, expires_at)
     SELECT $1, id, $3, permissions, $4, $4, $5 FROM contacts WHERE id = $2`,
    [digest(cookie), contact, operatorToken, new Date(now), new Date(now + lifetimeMs)],
  );
  return cookie;
}

/**
 * Gives a session a new cookie after its contact has proved its identity with its current operator token. The session's
 * expiry stays the same.
 * @param mark prefix of the new cookie.
 * @returns the new cookie's value.
 */
export async function renewSession(
  transaction: Transaction,
  cookie: string,
  { operatorToken }: Proved,
  { mark, now }: { mark: string; now: number },
): Promise<string> {
  const renewed = mark + randomCode();
  await transaction.query('UPDATE console_sessions SET id = $2, operator_token = $3, proved_at = $4 WHERE id = $1', [
    digest(cookie),
    digest(renewed),
    operatorToken,
    new Date(now),
  ]);
  return renewed;
}

export async function endSession(database: Queryable, cookie: string): Promise<void> {
  await database.query('DELETE FROM console_sessions WHERE id = $1', [digest(cookie)]);
}

/**
 * Thrown if a call requires a proof of identity within the last 15 minutes. The response is a form that asks for the
 * operator token.
 */
export class ProofNeeded extends KeyturnError {
  constructor() {
    super('proof_needed', 401, 'Enter your operator token again to continue.');
  }
}
