import { randomUUID } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { IdentityProvider } from './identity-provider.ts';

/** A person at a provider, who is asked about with a refresh token. */
export type CheckedPerson = {
  contact: string;
  /** The sign-in that gave the token. */
  id: string;
  provider: string;
  issuer: string;
  clientId: string;
  subject: string;
  /** Whether an earlier answer has had the claim that decides on permissions. */
  showsClaim: boolean;
  sealed: string;
};

/** How often a provider is asked about a person who has a way in, in milliseconds. */
const everyMs = 30_000;
/** How often it is asked about others, so that many people do not cause many requests. */
const idleEveryMs = 3_600_000;

/**
 * Keeps the refresh token of a sign-in, in place of that of an earlier one. Without a new one, that of the same person at the
 * same provider stays, because some providers give one at the first sign-in only.
 */
export async function keepRefreshToken(
  transaction: Transaction,
  keyRing: KeyRing,
  { id: provider, issuer, clientId }: IdentityProvider,
  { contact, subject, refreshToken }: { contact: string; subject: string; refreshToken: string | undefined },
  at: Date,
): Promise<void> {
  const person = [contact, provider, issuer, clientId, subject];
  if (refreshToken === undefined) {
    await transaction.query(
      `DELETE FROM provider_refresh_tokens WHERE contact = $1 AND (provider, issuer, client_id, subject) <> ($2, $3, $4, $5)`,
      person,
    );
    return;
  }
  const id = randomUUID();
  await transaction.query(
    `INSERT INTO provider_refresh_tokens (contact, provider, issuer, client_id, subject, id, sealed, checked_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (contact) DO UPDATE SET provider = $2, issuer = $3,
       client_id = $4, subject = $5, id = $6, sealed = $7, shows_claim = false, checked_at = $8`,
    [...person, id, seal(keyRing, placeOf(id), refreshToken), at],
  );
}

const columns = `contact, id, provider, issuer, client_id AS "clientId", subject, shows_claim AS "showsClaim", sealed`;

/** Claims people whom it is time to ask about, the longest waiting first. Each is given to one process. */
export async function claimDuePeople(database: Queryable, now: number, limit: number): Promise<CheckedPerson[]> {
  return await database.query<Row & CheckedPerson>(
    `WITH reachable AS MATERIALIZED (
       SELECT contact FROM console_sessions WHERE expires_at > $1
       UNION SELECT contact FROM operator_tokens
       UNION SELECT contact FROM bounded_tokens WHERE expires_at IS NULL OR expires_at > $1
       UNION SELECT contact FROM passkeys
       UNION SELECT contact FROM console_links WHERE expires_at > $1
       UNION SELECT contact FROM invitations WHERE code IS NOT NULL AND expires_at > $1
     )
     UPDATE provider_refresh_tokens SET checked_at = $1 WHERE contact IN (
       SELECT t.contact FROM provider_refresh_tokens t LEFT JOIN reachable r ON r.contact = t.contact
       WHERE t.checked_at <= $2 AND (r.contact IS NOT NULL OR t.checked_at <= $3)
       ORDER BY t.checked_at LIMIT $4 FOR UPDATE OF t SKIP LOCKED
     ) RETURNING ${columns}`,
    [new Date(now), new Date(now - everyMs), new Date(now - idleEveryMs), limit],
  );
}

/** @throws if the root key of the token is not in the ring. */
export function openRefreshToken(keyRing: KeyRing, { id, sealed }: CheckedPerson): string {
  return unseal(keyRing, placeOf(id), sealed);
}

/** Returns whether the token is still that of the last sign-in, and locks it. */
export async function lockRefreshToken(transaction: Transaction, { contact, id }: CheckedPerson): Promise<boolean> {
  const sql = 'SELECT 1 FROM provider_refresh_tokens WHERE contact = $1 AND id = $2 FOR UPDATE';
  return (await transaction.query(sql, [contact, id])).length > 0;
}

/** Saves the token that replaces the previous one, if there is one, and whether the claim was seen. */
export async function saveRefreshToken(
  transaction: Transaction,
  keyRing: KeyRing,
  { contact, id }: CheckedPerson,
  { refreshToken, showsClaim }: { refreshToken: string | undefined; showsClaim: boolean },
): Promise<void> {
  await transaction.query(
    'UPDATE provider_refresh_tokens SET sealed = coalesce($2, sealed), shows_claim = shows_claim OR $3 WHERE contact = $1',
    [contact, refreshToken === undefined ? null : seal(keyRing, placeOf(id), refreshToken), showsClaim],
  );
}

export async function deleteRefreshToken(transaction: Transaction, { contact }: CheckedPerson): Promise<void> {
  await transaction.query('DELETE FROM provider_refresh_tokens WHERE contact = $1', [contact]);
}

function placeOf(id: string) {
  return { table: 'provider_refresh_tokens', id };
}
