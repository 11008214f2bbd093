import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { raiseEveryTokenEpoch } from '../clients/token-epochs.ts';
import type { Clock, DatabaseClock } from '../process/clock.ts';
import type { ChangeFeed } from '../storage/change.ts';
import { recordChange } from '../storage/change.ts';
import type { Transaction } from '../storage/database.ts';
import { createExpiringSet } from './expiring-set.ts';
import type { TokenRecord } from './token-record.ts';

/**
 * The tokens that were revoked individually and have not expired, known to every process. They come from PostgreSQL, so
 * a token store that restarts empty or with an older state makes no revoked token valid. Each takes about 50 bytes.
 */
export type Revocations = {
  readonly size: number;
  has(jti: string): boolean;
  /** Returns whether the token's owner revoked it while the token store could not look it up. */
  hasUnseen(jti: string, owner: string): boolean;
  /**
   * Returns whether revocations of a token that expires at this time (seconds since the epoch) are still kept. Compares
   * with the database's clock, by which revocations are kept and removed. A token with an earlier expiry has expired,
   * regardless of this process's clock.
   */
  areKeptFor(expiresAt: number): boolean;
};

/** Interval of pruning. Each run prunes one part of the set, so each part is pruned about once a minute. */
const pruneEveryMs = 250;
/** Time to keep a revocation after the token's expiry, because the clocks of processes and database may differ. */
const leewaySeconds = 60;

export function followRevocations(feed: ChangeFeed, databaseClock: Pick<DatabaseClock, 'now'>): Revocations {
  const revoked = createExpiringSet();
  feed.subscribe((change) => {
    if (change.kind === 'token') revoked.add(change.target, Math.ceil(change.expiresAt.getTime() / 1_000));
  });
  feed.subscribeToRevoked(({ targets, expiresAt }) => {
    revoked.addLines(targets, Math.ceil(expiresAt.getTime() / 1_000));
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
    // Build the string only if the set is not empty.
    hasUnseen: (jti, owner) => revoked.size > 0 && revoked.has(unseenTarget(jti, owner)),
    areKeptFor: (expiresAt) => (databaseClock.now() ?? 0) < (expiresAt + leewaySeconds) * 1_000,
  };
}

/** Records the permanent revocation of a token, which takes effect when the transaction commits. */
export async function revokeToken(
  transaction: Transaction,
  token: Pick<TokenRecord, 'jti' | 'expiresAt'>,
  at: Date,
): Promise<void> {
  const expiresAt = new Date((token.expiresAt + leewaySeconds) * 1_000);
  await recordChange(transaction, { kind: 'token', target: token.jti, at, expiresAt });
}

/** Revokes a token that cannot be looked up now, in case it belongs to `owner` (a client's id). */
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

/**
 * Ends every access token that was ever issued, after the database was restored from a backup: the backup lacks later
 * revocations, so revoked tokens would be valid again. @returns the number of clients.
 */
export async function endEveryToken(
  transaction: Transaction,
  { clock }: { clock: Clock },
  actor: Actor,
): Promise<number> {
  const at = new Date(clock());
  const clients = await raiseEveryTokenEpoch(transaction, at);
  await recordChange(transaction, { kind: 'all_clients', target: 'all', at });
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'deployment.after_restore',
    targetType: 'deployment',
    target: 'all',
    after: { clients },
  });
  return clients;
}
