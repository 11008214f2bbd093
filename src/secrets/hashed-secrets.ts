import { issueSecret, type Secret } from '../credentials/secret.ts';
import { shapeSql } from '../credentials/slow-hash.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { makeUnmatchable, type SecretDeps } from './manage-secrets.ts';
import type { SecretOwner } from './secret-store.ts';

/** Imported secrets of which only the hash of another server is known, until their clients first use them. */

/** Returns an imported secret, of which only a hash is known, as a secret that the caller stores. */
export function makeHashedSecret(
  { clock }: Pick<SecretDeps, 'clock'>,
  { clientId }: Pick<SecretOwner, 'clientId'>,
  generation: number,
  hash: string,
): Secret & { sealed: null } {
  return { ...makeUnmatchable(clientId, generation, clock()), hint: '', hash, registration: null, sealed: null };
}

/**
 * Stores a secret that its client has used for the first time like every other one, in place of its hash.
 * @returns the end of the secret to recognise it by, or undefined if another request was first or the secret has ended.
 */
export async function storeFirstUsed(
  transaction: Transaction,
  deps: SecretDeps,
  owner: SecretOwner,
  secret: Pick<Secret, 'id' | 'hash'>,
  plaintext: string,
): Promise<string | undefined> {
  const place = deps.reveal && owner.reveal ? { table: 'secrets', id: secret.id } : null;
  const issued = issueSecret(deps.keyRing, owner.prefix, owner.pepper, place, plaintext);
  const rows = await transaction.query(
    `UPDATE secrets SET verifier = $3, key_version = $4, hint = $5, sealed = $6, hash = NULL
     WHERE id = $1 AND hash = $2 AND ended_as IS NULL RETURNING 1`,
    [secret.id, secret.hash, issued.verifier, issued.keyVersion, issued.hint, issued.sealed],
  );
  return rows.length > 0 ? issued.hint : undefined;
}

/** SQL condition for a secret that awaits its first use. */
export const awaitingFirstUse = 'hash IS NOT NULL AND ended_as IS NULL AND (retires_at IS NULL OR retires_at > now())';

const maxShapes = 20;

/**
 * Returns what the hashes of imported secrets cost to verify: for each different combination that a client has, the
 * shapes of its hashes. Returns an empty list if no secret awaits its first use.
 */
export async function findHashShapes(database: Queryable): Promise<string[][]> {
  const rows = await database.query<{ shapes: string }>(
    `SELECT DISTINCT string_agg(${shapeSql('hash')}, ' ' ORDER BY generation DESC) AS shapes FROM secrets
     WHERE ${awaitingFirstUse} GROUP BY client, client_id ORDER BY shapes LIMIT ${maxShapes}`,
  );
  return rows.map(({ shapes }) => shapes.split(' '));
}

/** Returns the hashes of the current secrets that await their first use, by Client ID. */
export async function findCurrentHashes(database: Queryable): Promise<ReadonlyMap<string, string>> {
  const rows = await database.query<{ client_id: string; hash: string }>(
    'SELECT client_id, hash FROM secrets WHERE hash IS NOT NULL AND ended_as IS NULL AND retires_at IS NULL',
  );
  return new Map(rows.map(({ client_id: clientId, hash }) => [clientId, hash]));
}

/** Counts the clients of which a secret awaits its first use. */
export async function countAwaitingFirstUse(database: Queryable): Promise<number> {
  const rows = await database.query<{ count: number }>(
    `SELECT count(DISTINCT client) AS count FROM secrets WHERE ${awaitingFirstUse}`,
  );
  return rows[0]?.count ?? 0;
}
