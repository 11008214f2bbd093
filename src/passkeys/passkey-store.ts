import type { Queryable, Row, Transaction } from '../storage/database.ts';
import { recordRemoved } from '../storage/lost-rows.ts';

/** A passkey (WebAuthn) of a contact. */
export type Passkey = {
  /** Names it in the admin API. */
  id: string;
  contactId: string;
  name: string;
  createdAt: Date;
  lastUsedAt: Date | null;
};

/** A passkey as it is verified. */
export type StoredPasskey = Passkey & {
  credentialId: string;
  publicKey: Uint8Array<ArrayBuffer>;
  counter: number;
  transports: string[];
};

const columns = `name_id AS id, contact AS "contactId", name, created_at AS "createdAt", last_used_at AS "lastUsedAt"`;
const stored = `${columns}, id AS "credentialId", public_key AS "publicKey", counter, transports`;

export async function insertPasskey(transaction: Transaction, passkey: StoredPasskey, rpId: string): Promise<boolean> {
  const rows = await transaction.query(
    `INSERT INTO passkeys (id, name_id, contact, name, rp_id, public_key, counter, transports, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING RETURNING 1`,
    [
      passkey.credentialId,
      passkey.id,
      passkey.contactId,
      passkey.name,
      rpId,
      passkey.publicKey,
      passkey.counter,
      passkey.transports,
      passkey.createdAt,
    ],
  );
  return rows.length > 0;
}

/** Lists the passkeys of a contact, oldest first. */
export async function listPasskeys(database: Queryable, contactId: string): Promise<StoredPasskey[]> {
  return await database.query<Row & StoredPasskey>(
    `SELECT ${stored} FROM passkeys WHERE contact::text = $1 ORDER BY created_at, name_id`,
    [contactId],
  );
}

/** Finds a passkey of a site, locked. @param rpId host of the site. */
export async function lockPasskey(
  transaction: Transaction,
  credentialId: string,
  rpId: string,
): Promise<StoredPasskey | undefined> {
  const [row] = await transaction.query<Row & StoredPasskey>(
    `SELECT ${stored} FROM passkeys WHERE id = $1 AND rp_id = $2 FOR UPDATE`,
    [credentialId, rpId],
  );
  return row;
}

export async function noteUse(
  transaction: Transaction,
  credentialId: string,
  counter: number,
  at: Date,
): Promise<void> {
  await transaction.query('UPDATE passkeys SET counter = $2, last_used_at = $3 WHERE id = $1', [
    credentialId,
    counter,
    at,
  ]);
}

/** Deletes a passkey of a contact. Returns it, or undefined if there is none. */
export async function deletePasskey(
  transaction: Transaction,
  contactId: string,
  id: string,
  at: Date,
): Promise<Passkey | undefined> {
  const [row] = await transaction.query<Row & Passkey>(
    `DELETE FROM passkeys WHERE contact::text = $1 AND name_id = $2 RETURNING ${columns}`,
    [contactId, id],
  );
  if (row) await recordRemoved(transaction, 'passkeys', [id], at);
  return row;
}

/** Stores a challenge. @param contactId who has to answer it; null: anyone. */
export async function insertChallenge(
  database: Queryable,
  challenge: string,
  contactId: string | null,
  expiresAt: Date,
): Promise<void> {
  await database.query('INSERT INTO passkey_challenges (challenge, contact, expires_at) VALUES ($1, $2, $3)', [
    challenge,
    contactId,
    expiresAt,
  ]);
}

/** Uses a challenge up. Returns whether it was valid. */
export async function takeChallenge(
  transaction: Transaction,
  challenge: string,
  contactId: string | null,
  now: Date,
): Promise<boolean> {
  const rows = await transaction.query(
    `DELETE FROM passkey_challenges WHERE challenge = $1 AND contact::text IS NOT DISTINCT FROM $2 AND expires_at > $3 RETURNING 1`,
    [challenge, contactId, now],
  );
  return rows.length > 0;
}
