import type { Transaction } from '../storage/database.ts';
import { revokeUnseenToken } from './revocation.ts';

/**
 * Maximum numbers of kept revocations of tokens that could not be looked up, so that callers cannot fill the database.
 */
const maxOfClient = 1_000;
const maxInAll = 20_000;

/**
 * Stores the revocation of a token that cannot be looked up now, in case it belongs to `owner` (a client's id) and
 * appears again. Concurrent callers may exceed the limits by the number of simultaneous commits.
 * @returns false if the limit is reached; the caller must then be rejected.
 */
export async function keepUnseenRevocation(
  transaction: Transaction,
  token: { jti: string; owner: string; expiresAt: number },
  at: Date,
): Promise<boolean> {
  const rows = await transaction.query<{ is_new: boolean | null }>(
    `WITH kept AS (
       INSERT INTO unseen_revocations (client, jti, expires_at)
       SELECT $1, $2, $3
       WHERE (SELECT count(*) FROM unseen_revocations WHERE client = $1) < ${maxOfClient}
         AND (SELECT count(*) FROM unseen_revocations) < ${maxInAll}
       ON CONFLICT DO NOTHING RETURNING true AS is_new)
     SELECT is_new FROM kept
     UNION ALL SELECT false FROM unseen_revocations WHERE client = $1 AND jti = $2`,
    [token.owner, token.jti, new Date(token.expiresAt * 1_000)],
  );
  const [found] = rows;
  if (found?.is_new) await revokeUnseenToken(transaction, token, at);
  return found !== undefined;
}
