import { Conflict, NotFound } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import { baseOf, findArchives } from './audit-archive.ts';
import { type Actor, appendAuditEvent } from './audit-log.ts';
import { eraseAction } from './erasures.ts';
import { personTypes } from './personal-values.ts';

/** The result of an erasure. */
export type ErasedPerson = {
  /** Number of events whose values were erased now. */
  erased: number;
  /** Number of events of the first format, whose values cannot be erased. */
  kept: number;
  /** The last event that is in a file of an archive, where values are not erased. Null if there is none. */
  archivedUntil: number | null;
};

/** Number of rows that one statement reads or changes, so that it ends before the time limit of statements. */
const batchSize = 5_000;
const scannedAtOnce = 50_000;

/**
 * Erases the personal values of a deleted contact in the audit log: its name and address in what it did, what identifies
 * it in what was done to it, and its e-mail addresses in other events. The digests stay, so the chain stays verifiable.
 * @throws {NotFound} if no event has the contact.
 * @throws {Conflict} `contact_exists`
 */
export async function erasePerson(
  transaction: Transaction,
  { clock }: { clock: Clock },
  actor: Actor,
  contactId: string,
): Promise<ErasedPerson> {
  const [known] = await transaction.query<{ exists: boolean; kept: number; found: boolean }>(
    `SELECT EXISTS (SELECT FROM contacts WHERE id = ($1::text)::uuid) AS exists,
       (SELECT count(*) FROM audit_events WHERE (actor = $1 OR target = $1) AND personal IS NULL) AS kept,
       EXISTS (SELECT FROM audit_events WHERE actor = $1 OR target = $1) AS found`,
    [contactId],
  );
  if (known?.exists) {
    throw new Conflict('contact_exists', 'The contact exists. Delete it first: it would leave further events.');
  }
  if (!known?.found) throw new NotFound('contact');
  const addresses = await findAddresses(transaction, contactId);
  const organizationId = await findOrganization(transaction, contactId);
  const own = await eraseOwn(transaction, contactId);
  const further = addresses.length === 0 ? [] : await eraseAddresses(transaction, addresses);
  const archivedUntil = baseOf(await findArchives(transaction)).seq || null;
  const result = { erased: own + further.length, kept: known.kept, archivedUntil };
  if (result.erased === 0) return result;
  await appendAuditEvent(transaction, {
    at: new Date(clock()),
    actor,
    action: eraseAction,
    targetType: 'contact',
    target: contactId,
    ...(organizationId === null ? {} : { organizationId }),
    // Verification requires that the event lists those that are not about the contact (erasures.ts).
    after: { events: result.erased, further, archived_until: archivedUntil },
  });
  return result;
}

/** Finds the e-mail addresses that the contact has had. */
async function findAddresses(transaction: Transaction, contactId: string): Promise<string[]> {
  const rows = await transaction.query<{ email: string }>(
    `SELECT DISTINCT lower(e.email) AS email
     FROM audit_events, LATERAL (VALUES (before ->> 'email'), (after ->> 'email')) AS e (email)
     WHERE target = $1 AND target_type = 'contact' AND subject_salt IS NOT NULL AND e.email IS NOT NULL`,
    [contactId],
  );
  return rows.map(({ email }) => email);
}

async function findOrganization(transaction: Transaction, contactId: string): Promise<string | null> {
  const [latest] = await transaction.query<{ organization: string | null }>(
    'SELECT organization FROM audit_events WHERE target = $1 ORDER BY at DESC, seq DESC LIMIT 1',
    [contactId],
  );
  return latest?.organization ?? null;
}

/** Erases the values in what the contact did, and in what was done to it. Removing a salt erases its values. */
async function eraseOwn(transaction: Transaction, contactId: string): Promise<number> {
  const isActor = 'actor = $1 AND actor_salt IS NOT NULL';
  const isSubject = 'target = $1 AND target_type = ANY ($2::text[]) AND subject_salt IS NOT NULL';
  let total = 0;
  let count = 0;
  do {
    const [row] = await transaction.query<{ count: number }>(
      `WITH erased AS (
         UPDATE audit_events SET
           actor_salt = CASE WHEN ${isActor} THEN NULL ELSE actor_salt END,
           subject_salt = CASE WHEN ${isSubject} THEN NULL ELSE subject_salt END
         WHERE seq IN (SELECT seq FROM audit_events WHERE (${isActor}) OR (${isSubject}) LIMIT ${batchSize}) RETURNING seq
       ) SELECT count(*) AS count FROM erased`,
      [contactId, personTypes],
    );
    count = row?.count ?? 0;
    total += count;
  } while (count === batchSize);
  return total;
}

/** Erases the subject of events that have one of these e-mail addresses and are not about a person. */
async function eraseAddresses(transaction: Transaction, addresses: readonly string[]): Promise<number[]> {
  const [range] = await transaction.query<{ first: number | null; last: number | null }>(
    'SELECT min(seq) AS first, max(seq) AS last FROM audit_events',
  );
  const { first, last } = range ?? {};
  const erased: number[] = [];
  for (let seq = first ?? 1; seq <= (last ?? 0); seq += scannedAtOnce) {
    const rows = await transaction.query<{ seq: number }>(
      `UPDATE audit_events SET subject_salt = NULL
       WHERE seq >= $1 AND seq < $2 AND subject_salt IS NOT NULL AND target_type <> ALL ($3::text[])
         AND (lower(before ->> 'email') = ANY ($4::text[]) OR lower(after ->> 'email') = ANY ($4::text[])
           OR lower(substr(target, length('mailto:') + 1)) = ANY ($4::text[]) AND target LIKE 'mailto:%')
       RETURNING seq`,
      [seq, seq + scannedAtOnce, personTypes, addresses],
    );
    erased.push(...rows.map((row) => row.seq));
  }
  return erased.toSorted((a, b) => a - b);
}
