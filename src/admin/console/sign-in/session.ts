import { createHash, randomBytes } from 'node:crypto';
import type { Permission } from '../../../contacts/permission.ts';
import type { Queryable, Row, Transaction } from '../../../storage/database.ts';

/** Somebody who is signed in, with what they may do at this moment. */
export type Session = {
  /** Names the session without opening it: the same for as long as it lives, also when its id is renewed. */
  name: string;
  operator: { id: string; name: string; permissions: readonly Permission[] };
  /** When they last proved who they are. */
  provedAt: Date;
};

/** Who has proved it, and the verifier of the operator token that they have with it; null: none. */
export type Proved = { contact: string; operatorToken: Uint8Array | null };

const lifetimeMs = 8 * 3_600_000;

/** What is stored of a random value that somebody else holds. */
export function digest(value: string): Uint8Array {
  return createHash('sha256').update(value).digest();
}

/** 256 bits for a cookie or a link. */
export function randomCode(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * The session of a cookie. There is none any more once the contact's operator token is another, or gone, or its permissions are
 * others than at sign-in.
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

/** Starts a session with a new id, which begins with `mark`. @returns what the cookie is to hold. */
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
 * Gives a session a new id, which begins with `mark`, after its contact has proved who it is, by the operator token that it has now. When the session ends stays
 * the same.
 * @returns what the cookie is to hold from then on.
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
