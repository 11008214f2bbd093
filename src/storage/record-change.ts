import type { ChangeKind, CommittedChange } from './change.ts';
import type { Transaction } from './database.ts';

/** Time to keep a change for a process or listener that reconnects. */
const keptMs = 24 * 3_600_000;

const recorded = new WeakMap<Transaction, CommittedChange[]>();

/** Returns the changes that were recorded in a transaction, which are committed together with it. */
export function changesOf(transaction: Transaction): readonly CommittedChange[] {
  return recorded.get(transaction) ?? [];
}

/**
 * Records a change of `target` in its transaction, so that either both are committed or neither is.
 * @param change.expiresAt the time until which the row must be kept; for a revoked token, the expiry of the token.
 */
export async function recordChange(
  transaction: Transaction,
  change: { kind: ChangeKind; target: string; at: Date; expiresAt?: Date },
): Promise<void> {
  const { kind, target, at } = change;
  const expiresAt = change.expiresAt ?? new Date(at.getTime() + keptMs);
  const rows = await transaction.query<{ seq: number }>(
    'INSERT INTO changes (kind, target, at, expires_at) VALUES ($1, $2, $3, $4) RETURNING seq',
    [kind, target, at, expiresAt],
  );
  note(
    transaction,
    rows.map(({ seq }) => ({ seq, kind, target, expiresAt })),
  );
}

/** Records many changes in one statement. */
export async function recordChanges(
  transaction: Transaction,
  changes: readonly { kind: ChangeKind; target: string }[],
  at: Date,
): Promise<void> {
  const expiresAt = new Date(at.getTime() + keptMs);
  const rows = await transaction.query<Pick<CommittedChange, 'seq' | 'kind' | 'target'>>(
    `INSERT INTO changes (kind, target, at, expires_at)
     SELECT c.kind, c.target, $3, $4 FROM unnest($1::text[], $2::text[]) AS c (kind, target) RETURNING seq, kind, target`,
    [changes.map(({ kind }) => kind), changes.map(({ target }) => target), at, expiresAt],
  );
  note(
    transaction,
    rows.map((row) => ({ ...row, expiresAt })),
  );
}

function note(transaction: Transaction, changes: readonly CommittedChange[]): void {
  const before = recorded.get(transaction) ?? [];
  recorded.set(transaction, before);
  for (const change of changes) before.push(change);
}
