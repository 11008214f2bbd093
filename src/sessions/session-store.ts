import { randomUUID } from 'node:crypto';
import type { Permission } from '../contacts/contact.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';

export const signInMethods = ['operator_token', 'link'] as const;

/** How a contact signed in. */
export type SignInMethod = (typeof signInMethods)[number];

/** The sign-in of a contact in a browser, as it is listed. */
export type ListedSession = {
  /** Identifies the session without granting access. It stays the same when the cookie is renewed. */
  id: string;
  contactId: string;
  method: SignInMethod;
  /** Where the contact signed in from; null for sessions that an earlier version started. */
  address: string | null;
  userAgent: string | null;
  createdAt: Date;
  /** Time of the last request, to the minute. */
  lastSeenAt: Date;
  /** When the session ends if it is not used again. */
  expiresAt: Date;
};

/** A session as a request presents it, with the contact's current permissions. */
export type PresentedSession = {
  id: string;
  contactId: string;
  name: string;
  permissions: readonly Permission[];
  organizationId: string;
  provedAt: Date;
  lastSeenAt: Date;
};

export type NewSession = {
  /** SHA-256 of the cookie. */
  cookie: Uint8Array;
  contactId: string;
  /** The verifier of the contact's operator token; null if it has none. */
  operatorToken: Uint8Array | null;
  method: SignInMethod;
  address: string;
  userAgent: string;
};

/** Limits of sessions, in seconds. */
export type SessionLimits = { lifetimeSeconds: number; idleSeconds: number };

/**
 * Finds the session of a cookie. Returns undefined if it has expired, if the contact's operator token was issued,
 * replaced or revoked since sign-in, if its permissions have changed, or if its organization is disabled.
 * @param cookie SHA-256 of the cookie.
 */
export async function findPresentedSession(
  database: Queryable,
  cookie: Uint8Array,
  now: Date,
): Promise<PresentedSession | undefined> {
  const [row] = await database.query<Row & PresentedSession>(
    `SELECT s.name AS id, s.contact AS "contactId", c.name, c.permissions, c.organization AS "organizationId",
       s.proved_at AS "provedAt", s.last_seen_at AS "lastSeenAt"
     FROM console_sessions s JOIN contacts c ON c.id = s.contact JOIN organizations o ON o.id = c.organization
       LEFT JOIN operator_tokens t ON t.contact = c.id
     WHERE s.id = $1 AND s.expires_at > $2 AND o.enabled AND t.verifier IS NOT DISTINCT FROM s.operator_token
       AND c.permissions <@ s.permissions AND s.permissions <@ c.permissions`,
    [cookie, now],
  );
  return row;
}

/** Inserts a session. Returns its id. */
export async function insertSession(
  transaction: Transaction,
  { cookie, contactId, operatorToken, method, address, userAgent }: NewSession,
  { lifetimeSeconds, idleSeconds }: SessionLimits,
  now: Date,
): Promise<string> {
  const id = randomUUID();
  await transaction.query(
    `INSERT INTO console_sessions
       (id, name, contact, operator_token, permissions, method, address, user_agent, created_at, last_seen_at, proved_at,
        expires_at)
     SELECT $1, $2, id, $4, permissions, $5, $6, $7, $8, $8, $8, $8::timestamptz + make_interval(secs => $9)
     FROM contacts WHERE id = $3`,
    [cookie, id, contactId, operatorToken, method, address, userAgent, now, Math.min(lifetimeSeconds, idleSeconds)],
  );
  return id;
}

/** Records that a session was used, and moves its end up to its longest life. */
export async function noteSeen(
  database: Queryable,
  id: string,
  { lifetimeSeconds, idleSeconds }: SessionLimits,
  now: Date,
): Promise<void> {
  await database.query(
    `UPDATE console_sessions SET last_seen_at = $2,
       expires_at = least(created_at + make_interval(secs => $3), $2::timestamptz + make_interval(secs => $4))
     WHERE name = $1`,
    [id, now, lifetimeSeconds, idleSeconds],
  );
}

/** Gives a session a new cookie, after its contact has proved its identity with its current operator token. */
export async function replaceCookie(
  transaction: Transaction,
  cookie: Uint8Array,
  renewed: { cookie: Uint8Array; operatorToken: Uint8Array | null },
  now: Date,
): Promise<void> {
  await transaction.query('UPDATE console_sessions SET id = $2, operator_token = $3, proved_at = $4 WHERE id = $1', [
    cookie,
    renewed.cookie,
    renewed.operatorToken,
    now,
  ]);
}

export async function deleteByCookie(database: Queryable, cookie: Uint8Array): Promise<void> {
  await database.query('DELETE FROM console_sessions WHERE id = $1', [cookie]);
}

const columns = `name AS id, contact AS "contactId", method, address, user_agent AS "userAgent",
  created_at AS "createdAt", last_seen_at AS "lastSeenAt", expires_at AS "expiresAt"`;

/** Returns whether an actor is a contact. The user of the command line is not, and has no sessions. */
const isContact = (id: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id);

/** Lists the sessions of a contact that have not expired, last used first. */
export async function listSessions(database: Queryable, contactId: string, now: Date): Promise<ListedSession[]> {
  if (!isContact(contactId)) return [];
  return await database.query<Row & ListedSession>(
    `SELECT ${columns} FROM console_sessions WHERE contact = $1 AND expires_at > $2 ORDER BY last_seen_at DESC, name`,
    [contactId, now],
  );
}

/** Deletes a session of a contact, or all of them. Returns those that had not expired. */
export async function deleteSessions(
  transaction: Transaction,
  contactId: string,
  id: string | undefined,
  now: Date,
): Promise<ListedSession[]> {
  if (!isContact(contactId)) return [];
  const rows = await transaction.query<Row & ListedSession>(
    `DELETE FROM console_sessions WHERE contact = $1 AND ($2::uuid IS NULL OR name = $2::uuid) RETURNING ${columns}`,
    [contactId, id ?? null],
  );
  return rows.filter(({ expiresAt }) => expiresAt > now);
}
