import type { Transaction } from '../storage/database.ts';
import { revokeUnseenToken } from './revocation.ts';

/** How many revocations of tokens that could not be looked up are kept at a time, so that no caller can fill the database. */
const maxOfClient = 1_000;
const maxInAll = 20_000;

/**
 * Keeps the revocation of a token that cannot be looked up now, for the case that it belongs to `owner` (a client's id) and
 * appears again. Concurrent callers may exceed the limits by as many as commit at the same moment.
 * @returns false if too many are kept already, so that the caller must be refused.
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
