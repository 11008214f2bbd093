import type { ChangeKind } from './change-feed.ts';
import type { Transaction } from './database.ts';

/** How long a change stays readable for a process or listener that returns. */
const keptMs = 24 * 3_600_000;

/**
 * Records in the transaction of a change that `target` changed, so that both are committed or neither.
 * @param change.expiresAt until when the row must be kept; for a revoked token, the end of the token.
 */
export async function recordChange(
  transaction: Transaction,
  change: { kind: ChangeKind; target: string; at: Date; expiresAt?: Date },
): Promise<void> {
  await transaction.query('INSERT INTO changes (kind, target, at, expires_at) VALUES ($1, $2, $3, $4)', [
    change.kind,
    change.target,
    change.at,
    change.expiresAt ?? new Date(change.at.getTime() + keptMs),
  ]);
}

/** Records many changes in one statement. */
export async function recordChanges(
  transaction: Transaction,
  changes: readonly { kind: ChangeKind; target: string }[],
  at: Date,
): Promise<void> {
  await transaction.query(
    `INSERT INTO changes (kind, target, at, expires_at)
     SELECT c.kind, c.target, $3, $4 FROM unnest($1::text[], $2::text[]) AS c (kind, target)`,
    [changes.map(({ kind }) => kind), changes.map(({ target }) => target), at, new Date(at.getTime() + keptMs)],
  );
}
