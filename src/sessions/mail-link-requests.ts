import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { digest } from './link-store.ts';

/** How long a link by e-mail and the request for it are valid, in milliseconds. */
export const mailLinkMs = 900_000;
/** Time after a mail in which no further one is sent to its address. */
const pauseMs = 60_000;
/** Maximum number of mails to one address while requests are kept. */
const maxMails = 5;
/** Maximum number of requests that are answered in one transaction. */
const batchSize = 100;
/** Key of the lock under which requests are answered, so that the limit of mails holds. */
const answeringLock = 7_319_002;

/** A request for a link by e-mail. */
export type MailLinkRequest = {
  email: string;
  /** The cookie of the browser. */
  browser: string;
  address: string;
  language: string;
  /** Path to continue at after the sign-in. */
  next: string;
};

/** Stores a request. It is the same work for every e-mail address. */
export async function insertMailLinkRequest(
  database: Queryable,
  { email, browser, address, language, next }: MailLinkRequest,
  now: number,
): Promise<void> {
  await database.query(
    `INSERT INTO mail_link_requests (email, browser, address, language, next, requested_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7)`,
    [email.toLowerCase(), digest(browser), address, language, next, new Date(now), new Date(now + mailLinkMs)],
  );
}

/** A contact to whom a link is sent. */
export type LinkRecipient = { contactId: string; email: string; address: string };

/**
 * Marks the oldest requests as answered.
 * @returns the contacts who get a link: those with the e-mail address, in every organization but that of the deployment.
 *   An address gets one mail a minute at most, and five while its requests are kept.
 */
export async function takeMailLinkRequests(transaction: Transaction, now: number): Promise<LinkRecipient[]> {
  await transaction.query('SELECT pg_advisory_xact_lock($1)', [answeringLock]);
  type Taken = Row & { id: number; email: string };
  const taken = await transaction.query<Taken>(
    `UPDATE mail_link_requests SET answered = true
     WHERE id IN (SELECT id FROM mail_link_requests WHERE NOT answered ORDER BY id LIMIT $1)
     RETURNING id, email`,
    [batchSize],
  );
  const latest = new Map(taken.sort((a, b) => a.id - b.id).map((request) => [request.email, request]));
  return await transaction.query<Row & LinkRecipient>(
    `WITH mailed AS (
       UPDATE mail_link_requests r SET mailed_at = $2
       WHERE id = ANY ($1::bigint[]) AND expires_at > $2 AND EXISTS (
         SELECT FROM contacts c JOIN organizations o ON o.id = c.organization
         WHERE lower(c.email) = r.email AND o.enabled AND o.id <> $4)
       AND (SELECT count(*) FILTER (WHERE p.mailed_at > $3) = 0 AND count(p.mailed_at) < $5
            FROM mail_link_requests p WHERE p.email = r.email AND p.expires_at > $2)
       RETURNING email, address)
     SELECT c.id AS "contactId", m.email, m.address
     FROM mailed m JOIN contacts c ON lower(c.email) = m.email JOIN organizations o ON o.id = c.organization
     WHERE o.enabled AND o.id <> $4 ORDER BY o.name, c.id`,
    [
      [...latest.values()].map(({ id }) => id),
      new Date(now),
      new Date(now - pauseMs),
      deploymentOrganization,
      maxMails,
    ],
  );
}

/** Returns whether a request is waiting for its answer. */
export async function hasMailLinkRequests(database: Queryable): Promise<boolean> {
  return (await database.query('SELECT 1 FROM mail_link_requests WHERE NOT answered LIMIT 1')).length > 0;
}

/** Returns the path at which a browser wanted to continue when it last asked for a link; undefined if it never did. */
export async function findNextPath(database: Queryable, browser: string, now: number): Promise<string | undefined> {
  const [row] = await database.query<{ next: string }>(
    'SELECT next FROM mail_link_requests WHERE browser = $1 AND expires_at > $2 ORDER BY id DESC LIMIT 1',
    [digest(browser), new Date(now)],
  );
  return row?.next;
}

/** Returns the language in which a link to an address was last requested; undefined if it is not known any more. */
export async function findRequestedLanguage(database: Queryable, email: string): Promise<string | undefined> {
  const [row] = await database.query<{ language: string }>(
    'SELECT language FROM mail_link_requests WHERE email = $1 AND mailed_at IS NOT NULL ORDER BY id DESC LIMIT 1',
    [email],
  );
  return row?.language;
}
