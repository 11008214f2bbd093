import type { Transaction } from './database.ts';

export type ChangeKind =
  | 'client'
  | 'resource_servers'
  | 'access_key'
  | 'token'
  | 'signing_keys'
  | 'revoked_signing_key'
  | 'foreign_client_ids';

/** A committed change: cached data of `target` is outdated. `seq` is its number in the table `changes`. */
export type CommittedChange = { seq: number; kind: ChangeKind; target: string; expiresAt: Date };

/** A change as subscribers receive it, to drop cached data of `target`. */
export type Change = { kind: ChangeKind; target: string; expiresAt: Date; position: FeedPosition };

/**
 * The position of a follower in the form `c<number>.<server>`: it knows every change of this server up to this number.
 * Resuming from it may repeat changes but misses none.
 */
export type FeedPosition = string;

export function toChange({ kind, target, expiresAt }: CommittedChange, position: FeedPosition): Change {
  return { kind, target, expiresAt, position };
}

/**
 * Revoked tokens that have not expired. @property targets one per line: a string for each of a million tokens would cost
 * more than the rest of the load. @property expiresAt the latest expiry of their rows, because the expiry of each would
 * double the database's work.
 */
export type RevokedTokens = { targets: string; expiresAt: Date };

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

/** The subscribers of the change feed in this process. */
type ChangeSubscribers = {
  add(onChange: (change: Change) => void, onReset?: () => void, onLoaded?: () => void): void;
  addRevoked(onRevoked: (revoked: RevokedTokens) => void): void;
  tell(change: Change): void;
  revoked(revoked: RevokedTokens): void;
  reset(): void;
  loaded(): void;
};

export function createChangeSubscribers(): ChangeSubscribers {
  const changes: ((change: Change) => void)[] = [];
  const ofRevoked: ((revoked: RevokedTokens) => void)[] = [];
  const resets: (() => void)[] = [];
  const loads: (() => void)[] = [];
  return {
    add: (onChange, onReset, onLoaded) => {
      changes.push(onChange);
      if (onReset) resets.push(onReset);
      if (onLoaded) loads.push(onLoaded);
    },
    addRevoked: (onRevoked) => {
      ofRevoked.push(onRevoked);
    },
    tell: (change) => {
      for (const onChange of changes) onChange(change);
    },
    revoked: (revoked) => {
      for (const onRevoked of ofRevoked) onRevoked(revoked);
    },
    reset: () => {
      for (const onReset of resets) onReset();
    },
    loaded: () => {
      for (const onLoaded of loads) onLoaded();
    },
  };
}
