import { randomUUID } from 'node:crypto';
import type { Permission } from '../contacts/contact.ts';
import { isShutOut } from '../contacts/contact-store.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { recordRemoved } from '../storage/lost-rows.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { isUuid } from '../text/is-uuid.ts';

export const signInMethods = ['operator_token', 'link', 'single_sign_on', 'invitation', 'passkey'] as const;

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

/** The site that a session is for. */
export type SessionSite = 'console' | 'portal';

/** What a link gives beside an identity. @property permissions those of the session; null: those of the contact. */
export type Grant = { permissions: readonly Permission[] | null; returnUrl: string | null };

/** A session as a request presents it, with its current permissions. */
export type PresentedSession = {
  id: string;
  contactId: string;
  name: string;
  permissions: readonly Permission[];
  organizationId: string;
  provedAt: Date;
  lastSeenAt: Date;
  /** Where the link back to the host product leads; null: there is none. Only sessions of the portal have one. */
  returnUrl: string | null;
  /** The identity provider that started the session, or null. */
  provider: string | null;
};

export type NewSession = {
  site: SessionSite;
  /** Hash of the cookie. */
  cookie: Uint8Array;
  contactId: string;
  /** The verifier of the contact's operator token; null if it has none. */
  operatorToken: Uint8Array | null;
  method: SignInMethod;
  address: string;
  userAgent: string;
  grant?: Grant | undefined;
  /** The person at an identity provider; undefined for other ways to sign in. */
  person?: SignedInPerson | undefined;
};

/** A person at an identity provider, and the session there, if the provider names it. */
export type SignedInPerson = { provider: string; issuer: string; subject: string; sid: string | undefined };

/** Limits of sessions, in seconds. */
export type SessionLimits = { lifetimeSeconds: number; idleSeconds: number };

/**
 * Finds the session of a cookie. Returns undefined if it has expired, if the contact's permissions have changed, or if
 * its organization is disabled. A session that an operator token or a link has started ends also if the contact's
 * operator token was issued, replaced or revoked since; one of an identity provider ends if the contact is no longer that
 * of the person. Contacts of the deployment itself have no portal, because their permissions are for every organization, and
 * people whom a provider may have removed have no console.
 * @param cookie hash of the cookie.
 */
export async function findPresentedSession(
  database: Queryable,
  site: SessionSite,
  cookie: Uint8Array,
  now: Date,
): Promise<PresentedSession | undefined> {
  const [row] = await database.query<Row & PresentedSession>(
    `SELECT s.name AS id, s.contact AS "contactId", c.name, coalesce(s.granted, c.permissions) AS permissions,
       c.organization AS "organizationId", s.proved_at AS "provedAt", s.last_seen_at AS "lastSeenAt",
       s.return_url AS "returnUrl", s.provider
     FROM console_sessions s JOIN contacts c ON c.id = s.contact JOIN organizations o ON o.id = c.organization
       LEFT JOIN operator_tokens t ON t.contact = c.id
     WHERE s.id = $1 AND s.site = $3 AND s.expires_at > $2 AND o.enabled
       AND CASE s.site WHEN 'console' THEN NOT ${isShutOut} ELSE o.id <> $4 END
       AND CASE WHEN s.provider IS NULL THEN t.verifier IS NOT DISTINCT FROM s.operator_token ELSE EXISTS (
         SELECT FROM contact_identities i WHERE i.contact = s.contact AND i.provider = s.provider AND i.issuer = s.issuer
           AND i.subject = s.subject) END
       AND c.permissions <@ s.permissions AND s.permissions <@ c.permissions`,
    [cookie, now, site, deploymentOrganization],
  );
  return row;
}

/** Inserts a session. Returns its id. */
export async function insertSession(
  transaction: Transaction,
  { site, cookie, contactId, operatorToken, method, address, userAgent, grant, person }: NewSession,
  { lifetimeSeconds, idleSeconds }: SessionLimits,
  now: Date,
): Promise<string> {
  const id = randomUUID();
  await transaction.query(
    `INSERT INTO console_sessions
       (id, name, contact, operator_token, permissions, method, address, user_agent, created_at, last_seen_at, proved_at,
        expires_at, site, granted, return_url, provider, issuer, subject, sid)
     SELECT $1, $2, id, $4, permissions, $5, $6, $7, $8, $8, $8, $8::timestamptz + make_interval(secs => $9), $10, $11, $12,
       $13, $14, $15, $16 FROM contacts WHERE id = $3`,
    [
      cookie,
      id,
      contactId,
      operatorToken,
      method,
      address,
      userAgent,
      now,
      Math.min(lifetimeSeconds, idleSeconds),
      site,
      grant?.permissions ?? null,
      grant?.returnUrl ?? null,
      person?.provider ?? null,
      person?.issuer ?? null,
      person?.subject ?? null,
      person?.sid ?? null,
    ],
  );
  return id;
}

/** Returns whether a session is of the same site and contact, and gives the same as a new sign-in would. */
export async function isSameSession(
  transaction: Transaction,
  { site, cookie, contactId, operatorToken, grant }: Omit<NewSession, 'method' | 'address' | 'userAgent'>,
  now: Date,
): Promise<boolean> {
  const rows = await transaction.query(
    `SELECT 1 FROM console_sessions s JOIN contacts c ON c.id = s.contact
     WHERE s.id = $1 AND s.contact = $2 AND s.operator_token IS NOT DISTINCT FROM $3 AND s.site = $4 AND s.expires_at > $5
       AND s.granted IS NOT DISTINCT FROM $6::text[] AND s.return_url IS NOT DISTINCT FROM $7
       AND c.permissions <@ s.permissions AND s.permissions <@ c.permissions FOR UPDATE OF s`,
    [cookie, contactId, operatorToken, site, now, grant?.permissions ?? null, grant?.returnUrl ?? null],
  );
  return rows.length > 0;
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
const isContact = isUuid;

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
  await recordEnded(transaction, rows, now);
  return rows.filter(({ expiresAt }) => expiresAt > now);
}

/**
 * Gives a session a new cookie after its contact has proved its identity at its identity provider.
 * @returns false if the contact has no such session.
 */
export async function noteProof(
  transaction: Transaction,
  { id, contactId, cookie }: { id: string; contactId: string; cookie: Uint8Array },
  now: Date,
): Promise<boolean> {
  const rows = await transaction.query(
    `UPDATE console_sessions SET id = $3, proved_at = $4 WHERE name = $1 AND contact = $2 AND expires_at > $4 RETURNING 1`,
    [id, contactId, cookie, now],
  );
  return rows.length > 0;
}

/**
 * Deletes the sessions that a person has started through an identity provider: all of them, or only those of one session
 * there.
 * @returns the contacts that had one.
 */
export async function deleteSessionsOfPerson(
  transaction: Transaction,
  { provider, subject, sid }: { provider: string; subject: string | undefined; sid: string | undefined },
  at: Date,
): Promise<string[]> {
  const rows = await transaction.query<{ id: string; contact: string }>(
    `DELETE FROM console_sessions WHERE provider = $1 AND ($2::text IS NULL OR subject = $2) AND ($3::text IS NULL OR sid = $3)
       AND ($2::text IS NOT NULL OR $3::text IS NOT NULL)
     RETURNING name AS id, contact`,
    [provider, subject ?? null, sid ?? null],
  );
  await recordEnded(transaction, rows, at);
  return [...new Set(rows.map(({ contact }) => contact))];
}

export async function deleteSessionsOfProvider(transaction: Transaction, provider: string, at: Date): Promise<void> {
  const sql = 'DELETE FROM console_sessions WHERE provider = $1 RETURNING name AS id';
  await recordEnded(transaction, await transaction.query<{ id: string }>(sql, [provider]), at);
}

async function recordEnded(transaction: Transaction, sessions: readonly { id: string }[], at: Date): Promise<void> {
  const ids = sessions.map(({ id }) => id);
  await recordRemoved(transaction, 'console_sessions', ids, at);
}

/** Finds the person who started a session that has not ended. All members are null for other ways to sign in. */
export async function findPersonOfSession(
  database: Queryable,
  id: string,
  now: Date,
): Promise<{ provider: string | null; subject: string | null; sid: string | null } | undefined> {
  const [row] = await database.query<{ provider: string | null; subject: string | null; sid: string | null }>(
    'SELECT provider, subject, sid FROM console_sessions WHERE name = $1 AND expires_at > $2',
    [id, now],
  );
  return row;
}

/** Finds how a session was started, and whether its contact has an operator token. */
export async function findSignInMethod(
  database: Queryable,
  id: string,
): Promise<{ method: SignInMethod; hasOperatorToken: boolean } | undefined> {
  const [row] = await database.query<{ method: SignInMethod; hasOperatorToken: boolean }>(
    `SELECT method, EXISTS (SELECT FROM operator_tokens WHERE contact = s.contact) AS "hasOperatorToken"
     FROM console_sessions s WHERE name = $1`,
    [id],
  );
  return row;
}
