import type { ChangeFeed } from '../storage/change-feed.ts';
import type { Transaction } from '../storage/database.ts';
import type { DatabaseClock } from '../storage/database-clock.ts';
import { recordChange } from '../storage/record-change.ts';
import { createExpiringSet } from './expiring-set.ts';
import type { TokenRecord } from './token-store.ts';

/**
 * The tokens that were revoked one by one and have not expired, as every process knows them. They come from PostgreSQL, so a
 * token store that comes back empty or with an older state revives none. Each takes about 50 bytes.
 */
export type Revocations = {
  readonly size: number;
  has(jti: string): boolean;
  /** Whether its owner revoked it while the token store could not be asked about it. */
  hasUnseen(jti: string, owner: string): boolean;
  /**
   * Whether a revocation of a token with this end (seconds since the epoch) would still be known. By the database's clock, because
   * revocations are kept and removed by that one. A token beyond that has expired, whatever this process's clock says.
   */
  areKeptFor(expiresAt: number): boolean;
};

/** One part of the set is pruned at a time, so each about once a minute. */
const pruneEveryMs = 250;
/** A revocation is kept for so long after the token's end, because the clocks of processes and database may differ. */
const leewaySeconds = 60;

export function followRevocations(feed: ChangeFeed, databaseClock: Pick<DatabaseClock, 'now'>): Revocations {
  const revoked = createExpiringSet();
  feed.subscribe((change) => {
    if (change.kind === 'token') revoked.add(change.target, Math.ceil(change.expiresAt.getTime() / 1_000));
  });
  setInterval(() => {
    const now = databaseClock.now();
    if (now !== undefined) revoked.prune(Math.floor(now / 1_000));
  }, pruneEveryMs).unref();
  return {
    get size() {
      return revoked.size;
    },
    has: (jti) => revoked.has(jti),
    // Builds the text only if there is something to compare it with.
    hasUnseen: (jti, owner) => revoked.size > 0 && revoked.has(unseenTarget(jti, owner)),
    areKeptFor: (expiresAt) => (databaseClock.now() ?? 0) < (expiresAt + leewaySeconds) * 1_000,
  };
}

/** Revokes a token for good, once the transaction commits. */
export async function revokeToken(
  transaction: Transaction,
  token: Pick<TokenRecord, 'jti' | 'expiresAt'>,
  at: Date,
): Promise<void> {
  const expiresAt = new Date((token.expiresAt + leewaySeconds) * 1_000);
  await recordChange(transaction, { kind: 'token', target: token.jti, at, expiresAt });
}

/** Revokes a token that cannot be looked up now, if it turns out to belong to `owner` (a client's id). */
export async function revokeUnseenToken(
  transaction: Transaction,
  token: { jti: string; owner: string; expiresAt: number },
  at: Date,
): Promise<void> {
  await revokeToken(transaction, { jti: unseenTarget(token.jti, token.owner), expiresAt: token.expiresAt }, at);
}

function unseenTarget(jti: string, owner: string): string {
  return `${jti} ${owner}`;
}
