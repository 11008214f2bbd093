import type { KeyRing } from '../credentials/key-ring.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import type { Queryable } from '../storage/database.ts';

/** A sign-in that has begun: the browser is at the provider. */
export type SignInAttempt = {
  provider: string;
  /** The session whose proof of identity is renewed; null for a sign-in. */
  session: string | null;
  /** Path to continue at. */
  next: string;
  /** The fields of a form that is sent again to that path; null if there is none. */
  kept: string | null;
};

const lifetimeMs = 600_000;

type Stores = { database: Queryable; keyRing: KeyRing };

/**
 * Stores an attempt for ten minutes.
 * @param id SHA-256 of the cookie that only the browser has.
 */
export async function insertAttempt(
  { database, keyRing }: Stores,
  id: Uint8Array,
  { provider, session, next, kept }: SignInAttempt,
  now: number,
): Promise<void> {
  await database.query(
    'INSERT INTO sign_in_attempts (id, provider, session, sealed, expires_at) VALUES ($1, $2, $3, $4, $5)',
    [id, provider, session, seal(keyRing, placeOf(id), JSON.stringify({ next, kept })), new Date(now + lifetimeMs)],
  );
}

/** Deletes and returns an attempt, so that it ends once. Returns undefined if it is unknown, used or expired. */
export async function takeAttempt(
  { database, keyRing }: Stores,
  id: Uint8Array,
  provider: string,
  now: number,
): Promise<SignInAttempt | undefined> {
  const [row] = await database.query<{ session: string | null; sealed: string }>(
    'DELETE FROM sign_in_attempts WHERE id = $1 AND provider = $2 AND expires_at > $3 RETURNING session, sealed',
    [id, provider, new Date(now)],
  );
  if (!row) return undefined;
  const { next, kept } = JSON.parse(unseal(keyRing, placeOf(id), row.sealed)) as Pick<SignInAttempt, 'next' | 'kept'>;
  return { provider, session: row.session, next, kept };
}

function placeOf(id: Uint8Array) {
  return { table: 'sign_in_attempts', id: Buffer.from(id).toString('hex') };
}
