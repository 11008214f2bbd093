import { createHash, randomBytes } from 'node:crypto';
import type { Queryable, Row } from '../storage/database.ts';
import type { Grant, SessionSite } from './session-store.ts';

/** A new link that signs a contact in once. */
export type NewLink = {
  site: SessionSite;
  contact: string;
  grant?: Grant | undefined;
  expiresAt: Date;
  /** The address in lower case that the link is sent to. Only a browser that has asked for it can use the link. */
  email?: string;
};

/** Hashes a random value for storage (SHA-256). */
export function digest(value: string): Uint8Array {
  return createHash('sha256').update(value).digest();
}

/** Returns 256 random bits for a cookie or a link, as base64url. */
export function randomCode(): string {
  return randomBytes(32).toString('base64url');
}

/**
 * Stores a new link. It belongs to the operator token that its contact has now.
 * @returns the canonical path of the link.
 */
export async function insertLink(
  database: Queryable,
  { site, contact, grant, expiresAt, email }: NewLink,
): Promise<`/console/${string}`> {
  const code = randomCode();
  await database.query(
    `INSERT INTO console_links (code, contact, operator_token, expires_at, site, granted, return_url, email)
     SELECT $1, c.id, t.verifier, $3, $4, $5, $6, $7
     FROM contacts c LEFT JOIN operator_tokens t ON t.contact = c.id WHERE c.id = $2`,
    [digest(code), contact, expiresAt, site, grant?.permissions ?? null, grant?.returnUrl ?? null, email ?? null],
  );
  return `/console/sign-in?code=${code}`;
}

/** The parts of a request that uses a link. */
export type PresentedLink = {
  site: SessionSite;
  code: string;
  /** The cookie of a browser that has asked for links by e-mail; undefined if it has none. */
  browser: string | undefined;
};

/** The contact that a link signs in, and the URL to return to. */
export type FoundLink = {
  name: string;
  organizationId: string;
  returnUrl: string | null;
  isByMail: boolean;
  /** Whether this browser may use it. */
  isOfBrowser: boolean;
};

/** Whether the browser in $4 has asked for the link that this row of `console_links` is. */
const isOfBrowser = `(l.email IS NULL OR EXISTS (
  SELECT FROM mail_link_requests r WHERE r.email = l.email AND r.browser = $4 AND r.expires_at > $3))`;

const parametersOf = ({ site, code, browser }: PresentedLink, now: number) => [
  digest(code),
  site,
  new Date(now),
  digest(browser ?? ''),
];

/** Finds a link without consuming it. Returns undefined if the code is unknown, used or expired. */
export async function findLink(
  database: Queryable,
  presented: PresentedLink,
  now: number,
): Promise<FoundLink | undefined> {
  const [row] = await database.query<Row & FoundLink>(
    `SELECT c.name, c.organization AS "organizationId", l.return_url AS "returnUrl", l.email IS NOT NULL AS "isByMail",
       ${isOfBrowser} AS "isOfBrowser"
     FROM console_links l JOIN contacts c ON c.id = l.contact WHERE l.code = $1 AND l.site = $2 AND l.expires_at > $3`,
    parametersOf(presented, now),
  );
  return row;
}

/** A link that was consumed. */
export type UsedLink = Grant & { contact: string; operatorToken: Uint8Array | null };

/** Consumes a link. Returns undefined if the code is unknown, used or expired, or the link is not for this browser. */
export async function useLink(
  database: Queryable,
  presented: PresentedLink,
  now: number,
): Promise<UsedLink | undefined> {
  const [row] = await database.query<Row & UsedLink>(
    `DELETE FROM console_links l WHERE code = $1 AND site = $2 AND expires_at > $3 AND ${isOfBrowser}
     RETURNING contact, operator_token AS "operatorToken", granted AS permissions, return_url AS "returnUrl"`,
    parametersOf(presented, now),
  );
  return row;
}
