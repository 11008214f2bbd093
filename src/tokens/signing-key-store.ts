import type { SigningAlgorithm } from '../config.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';

/** A signing key as it is stored: the private part only sealed. */
export type StoredSigningKey = {
  kid: string;
  alg: SigningAlgorithm;
  state: 'next' | 'current' | 'retired';
  publicJwk: Record<string, unknown>;
  sealed: string;
  createdAt: Date;
  currentAt: Date | null;
  retiredAt: Date | null;
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
};

/** Every key that is published: next, current, and those retired whose tokens may still live. */
export async function listSigningKeys(database: Queryable, now: Date): Promise<StoredSigningKey[]> {
  const rows = await database.query<KeyRow>(
    `SELECT kid, alg, state, public_jwk, sealed, created_at, current_at, retired_at FROM signing_keys
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
  }));
}

/** One rotation at a time, over all processes. */
export async function lockSigningKeys(transaction: Transaction): Promise<void> {
  await transaction.query('LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE');
}

export async function insertSigningKey(transaction: Transaction, key: StoredSigningKey): Promise<void> {
  await transaction.query(
    `INSERT INTO signing_keys (kid, alg, state, public_jwk, sealed, created_at, current_at, retired_at)
     VALUES ($1, $2, $3, $4::jsonb, $5, $6, $7, $8)`,
    [
      key.kid,
      key.alg,
      key.state,
      JSON.stringify(key.publicJwk),
      key.sealed,
      key.createdAt,
      key.currentAt,
      key.retiredAt,
    ],
  );
}

/** The current key retires and stays published until `expiresAt`; the next one signs from now on. */
export async function promoteNextKey(transaction: Transaction, at: Date, expiresAt: Date): Promise<void> {
  await transaction.query(
    `UPDATE signing_keys SET state = 'retired', retired_at = $1, expires_at = $2 WHERE state = 'current'`,
    [at, expiresAt],
  );
  await transaction.query(`UPDATE signing_keys SET state = 'current', current_at = $1 WHERE state = 'next'`, [at]);
}
