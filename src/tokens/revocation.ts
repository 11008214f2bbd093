import type { ChangeFeed } from '../storage/change-feed.ts';
import type { Transaction } from '../storage/database.ts';
import { recordChange } from '../storage/record-change.ts';
import type { TokenRecord } from './token-store.ts';

/**
 * The tokens that were revoked one by one and have not ended yet, as every process knows them. They come from PostgreSQL, so a
 * token store that comes back empty, or with an older state, revives none. About 100 bytes each, for as long as the token had.
 */
export type Revocations = {
  has(jti: string): boolean;
  /** Whether its owner revoked it while the token store was away. */
  hasUnseen(jti: string, owner: string): boolean;
};

const pruneEveryMs = 60_000;

export function followRevocations(feed: ChangeFeed): Revocations {
  const revoked = new Map<string, number>();
  feed.subscribe((change) => {
    if (change.kind === 'token') revoked.set(change.target, change.expiresAt.getTime());
  });
  setInterval(() => {
    const now = Date.now();
    for (const [jti, expiresAt] of revoked) if (expiresAt < now) revoked.delete(jti);
  }, pruneEveryMs).unref();
  return {
    has: (jti) => revoked.has(jti),
    // The text is put together only where there is something to compare it with.
    hasUnseen: (jti, owner) => revoked.size > 0 && revoked.has(unseenTarget(jti, owner)),
  };
}

/** Revokes a token for good, once the transaction commits. */
export async function revokeToken(
  transaction: Transaction,
  token: Pick<TokenRecord, 'jti' | 'expiresAt'>,
  at: Date,
): Promise<void> {
  // Kept a little longer than the token: the clock that ends the token and the one that sweeps may differ.
  const expiresAt = new Date(token.expiresAt * 1_000 + 60_000);
  await recordChange(transaction, { kind: 'token', target: token.jti, at, expiresAt });
}

/** Revokes a token that nobody can look up now, if it turns out to be `owner`'s (a client's id). */
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
