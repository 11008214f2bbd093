import type { SigningAlgorithm } from '../config.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';

/**
 * Maximum difference between clocks of processes and verifiers, and maximum time that a process may use a retired key.
 */
export const signingKeyLeewaySeconds = 60;

/** A signing key as it is stored, with its private part sealed. */
export type StoredSigningKey = {
  kid: string;
  alg: SigningAlgorithm;
  state: 'next' | 'current' | 'retired';
  publicJwk: Record<string, unknown>;
  sealed: string;
  createdAt: Date;
  currentAt: Date | null;
  retiredAt: Date | null;
  /**
   * The longest lifetime of a token that it signs, in seconds; null if only a version before this column has used it.
   */
  tokenSeconds: number | null;
};

type KeyRow = Row & {
  kid: string;
  alg: SigningAlgorithm;
  state: StoredSigningKey['state'];
  public_jwk: Record<string, unknown>;
  sealed: string;
  created_at: Date;
  current_at: Date | null;
  retired_at: Date | null;
  token_seconds: number | null;
};

/** Returns every published key: next, current, and retired ones whose tokens may not have expired. */
export async function listSigningKeys(database: Queryable, now: Date): Promise<StoredSigningKey[]> {
  const rows = await database.query<KeyRow>(
    `SELECT kid, alg, state, public_jwk, sealed, created_at, current_at, retired_at, token_seconds
     FROM signing_keys
     WHERE expires_at > $1 ORDER BY created_at DESC, kid`,
    [now],
  );
  return rows.map((row) => ({
    kid: row.kid,
    alg: row.alg,
    state: row.state,
    publicJwk: row.public_jwk,
    sealed: row.sealed,
    createdAt: row.created_at,
    currentAt: row.current_at,
    retiredAt: row.retired_at,
    tokenSeconds: row.token_seconds,
  }));
}

/** Lets only one process change the keys at a time. */
export async function lockSigningKeys(transaction: Transaction): Promise<void> {
  await transaction.query('LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE');
}

export async function insertSigningKey(transaction: Transaction, key: StoredSigningKey): Promise<void> {
  await transaction.query(
    `INSERT INTO signing_keys (kid, alg, state, public_jwk, sealed, created_at, current_at, retired_at, token_seconds)
     VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8, $9)`,
    [
      key.kid,
      key.alg,
      key.state,
      JSON.stringify(key.publicJwk),
      key.sealed,
      key.createdAt,
      key.currentAt,
      key.retiredAt,
      key.tokenSeconds,
    ],
  );
}

/**
 * Retires the current key and makes the next one current. The retired key stays published until its last token has
 * expired.
 * @param ttlSeconds the lifetime of tokens, for a key without a recorded one.
 */
export async function promoteNextKey(transaction: Transaction, at: Date, ttlSeconds: number): Promise<void> {
  await transaction.query(
    `UPDATE signing_keys SET state = 'retired', retired_at = $1::timestamptz,
       expires_at = $1::timestamptz + make_interval(secs => greatest(token_seconds, $2::integer) + ${signingKeyLeewaySeconds})
     WHERE state = 'current'`,
    [at, ttlSeconds],
  );
  await transaction.query(`UPDATE signing_keys SET state = 'current', current_at = $1 WHERE state = 'next'`, [at]);
}

/** Ends the publication of a key at once, without a date, so that it does not depend on a process's clock. */
export async function withdrawSigningKey(transaction: Transaction, kid: string, at: Date): Promise<void> {
  await transaction.query(
    `UPDATE signing_keys SET state = 'retired', retired_at = coalesce(retired_at, $2::timestamptz), expires_at = '-infinity'
     WHERE kid = $1`,
    [kid, at],
  );
}

/**
 * Raises the longest recorded token lifetime of the next and the current key. Returns whether it was shorter or
 * missing.
 */
export async function raiseTokenSeconds(transaction: Transaction, ttlSeconds: number): Promise<boolean> {
  const rows = await transaction.query(
    `UPDATE signing_keys SET token_seconds = $1
     WHERE state <> 'retired' AND (token_seconds IS NULL OR token_seconds < $1) RETURNING 1`,
    [ttlSeconds],
  );
  return rows.length > 0;
}
