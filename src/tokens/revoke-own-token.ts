import type { CommitChange } from '../audit/audit-log.ts';
import type { Client } from '../clients/client.ts';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import { KeyturnError, StoreUnavailable } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { readToken } from './examine-access-token.ts';
import { revokeToken, revokeUnseenToken } from './revocation.ts';
import type { TokenRecord } from './token-record.ts';
import { longestLifetime, type TokenDeps } from './token-rules.ts';
import { tokenId } from './token-store.ts';

type Deps = TokenDeps & {
  change: CommitChange;
  /** Returns whether every token that the token store does not know was never issued or has expired. */
  isTokenStoreComplete(): Promise<boolean>;
  metrics: { revokedUnknown(result: 'ignored' | 'kept' | 'refused'): void };
};

/**
 * Maximum time to wait for a commit under load. It is long, because the caller needs the revocation rather than an
 * error.
 */
const commitMs = 2_000;

/**
 * Revokes a token on behalf of the client that it was issued to (RFC 7009 §2). Resolves once the revocation is durable.
 * An unknown or expired token is a success, because another answer would reveal which tokens exist (§2.2).
 * @throws {KeyturnError} `invalid_grant` if the token was issued to another client; the token stays valid.
 * @throws {StoreUnavailable} if the revocation cannot be recorded.
 */
export async function revokeOwnToken(deps: Deps, client: Client, token: string): Promise<void> {
  if (!isWellFormedSecret(token, 'kta_')) {
    const record = await readToken(deps, token);
    return record && (await revokeKnown(deps, client, record));
  }
  const jti = tokenId(token);
  if (deps.revocations.has(jti) || deps.revocations.hasUnseen(jti, client.id)) return;
  const record = await readToken(deps, token).catch(noteUnavailable);
  if (record !== undefined && record !== 'unavailable') return await revokeKnown(deps, client, record);
  const isCertain = record === undefined && (await deps.isTokenStoreComplete().catch(noteUnavailable)) === true;
  if (isCertain) deps.metrics.revokedUnknown('ignored');
  else await revokeUnseen(deps, client, jti);
}

async function revokeKnown(deps: Deps, client: Client, record: TokenRecord): Promise<void> {
  // This process's clock may be wrong, so it does not decide whether the token has expired.
  if (!deps.revocations.areKeptFor(record.expiresAt) || deps.revocations.has(record.jti)) return;
  const owner = record.clientId === undefined ? undefined : await deps.clients.find(record.clientId);
  if (owner?.client.id !== client.id) {
    throw new KeyturnError('invalid_grant', 400, 'The token was issued to another client.');
  }
  await commit(deps, (transaction) => revokeToken(transaction, record, new Date(deps.clock())));
  // Free memory. The token is invalid already, and its TTL would delete it later.
  await deps.tokenStore.remove(record.jti).catch(() => undefined);
}

/** Revokes a token that may exist although the token store does not answer, or may have lost it. */
async function revokeUnseen(deps: Deps, client: Client, jti: string): Promise<void> {
  const expiresAt = Math.ceil(deps.clock() / 1_000) + longestLifetime(deps);
  const isKept = await commit(deps, (transaction) =>
    keepUnseenRevocation(transaction, { jti, owner: client.id, expiresAt }, new Date(deps.clock())),
  );
  deps.metrics.revokedUnknown(isKept ? 'kept' : 'refused');
  if (!isKept) throw new StoreUnavailable('redis', 'too many revoked tokens cannot be looked up');
}

async function commit<T>(deps: Deps, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  return await withDeadline(deps.change(work), 'database', commitMs);
}

function noteUnavailable(error: unknown): 'unavailable' {
  if (!(error instanceof StoreUnavailable)) throw error;
  return 'unavailable';
}

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
async function keepUnseenRevocation(
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
