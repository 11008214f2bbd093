import type { Transaction } from './database.ts';

/**
 * The kind of a change. `all_clients` concerns every client. Kinds that begin with `disabled_`, `enabled_` and `ended_`
 * do not concern caches: they say what a change of an owner did, so that it can be done again if the database loses it.
 * So do `undone_secret`, `distrusted_row`, kinds that begin with `removed_`, kinds that begin with `limited_`, whose target
 * is JSON, and kinds that begin with `narrowed_`, whose target is an id followed by the removed permissions. The target of
 * `removed_row` and `distrusted_row` is a table and an id.
 */
export type ChangeKind =
  | 'client'
  | 'resource_servers'
  | 'all_clients'
  | 'disabled_client'
  | 'enabled_client'
  | 'access_key'
  | 'disabled_access_key'
  | 'enabled_access_key'
  | 'ended_secret'
  | 'undone_secret'
  | 'narrowed_client'
  | 'limited_client'
  | 'narrowed_access_key'
  | 'limited_access_key'
  | 'disabled_organization'
  | 'enabled_organization'
  | 'narrowed_contact'
  | 'removed_operator_token'
  | 'removed_bounded_token'
  | 'limited_bounded_token'
  | 'removed_row'
  | 'distrusted_row'
  | 'token'
  | 'signing_keys'
  | 'revoked_signing_key'
  | 'foreign_client_ids'
  | 'trusts';

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

/**
 * Records which permissions a change has removed, so that they can be removed again if the database loses it. Records
 * nothing if it has removed none.
 */
export async function recordNarrowed(
  transaction: Transaction,
  { kind, id, at }: { kind: 'narrowed_client' | 'narrowed_access_key' | 'narrowed_contact'; id: string; at: Date },
  before: readonly string[],
  after: readonly string[],
): Promise<void> {
  const removed = before.filter((each) => !after.includes(each));
  if (removed.length > 0) await recordChange(transaction, { kind, target: [id, ...removed].join(' '), at });
}

/** Records many changes in one statement. @param changes as in `recordChange`. */
export async function recordChanges(
  transaction: Transaction,
  changes: readonly { kind: ChangeKind; target: string; expiresAt?: Date }[],
  at: Date,
): Promise<void> {
  const end = new Date(at.getTime() + keptMs);
  const rows = await transaction.query<CommittedChange>(
    `INSERT INTO changes (kind, target, at, expires_at)
     SELECT c.kind, c.target, $4, c.expires_at
     FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS c (kind, target, expires_at)
     RETURNING seq, kind, target, expires_at AS "expiresAt"`,
    [
      changes.map(({ kind }) => kind),
      changes.map(({ target }) => target),
      changes.map(({ expiresAt }) => expiresAt ?? end),
      at,
    ],
  );
  note(transaction, rows);
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
  report(change: Change): void;
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
    report: (change) => {
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

/**
 * How current this process's knowledge of changes is:
 * - `current`: PostgreSQL answers.
 * - `announced`: PostgreSQL does not answer, but every change is known from announcements through Redis.
 * - `stale`: changes may be unknown, and cached values are used for `KEYTURN_STALE_SECONDS`.
 * - `unknown`: changes may be unknown, and cached values are not used.
 * - `unchecked`: the database may have lost changes, because another server answers; nothing is used until it was
 *   compared (loss-check.ts).
 */
export type FreshnessState = 'current' | 'announced' | 'stale' | 'unknown' | 'unchecked';

/**
 * Reports every change that any process commits to this process, once.
 *
 * Reads changes in the order of their sequence numbers. Numbers are assigned before the commit, so a lower one may
 * become visible later: a missing number is read again until every transaction that may have taken it has ended. The
 * locks in PostgreSQL show which open transactions have written changes, so no other session delays the feed. All reads
 * are bounded in size.
 */
export type ChangeFeed = {
  /**
   * Adds a subscriber.
   * @param onReset called when another server took over, so that anything may differ from what was reported.
   * @param onLoaded called when, after a reset, all revoked tokens of that server have been reported.
   */
  subscribe(onChange: (change: Change) => void, onReset?: () => void, onLoaded?: () => void): void;
  /**
   * Adds a subscriber to the tokens that are already revoked at the start or after a reset. It receives them in pages.
   * Must be called before `start`.
   */
  subscribeToRevoked(onRevoked: (revoked: RevokedTokens) => void): void;
  /** Reports the revoked tokens that have not expired, then follows changes. */
  start(): Promise<void>;
  /** Reads now. Resolves once everything committed before the call has been reported in this process. */
  sync(): Promise<void>;
  /**
   * Resolves once everything committed before `since`, by `performance.now()`, has been reported in this process. Used
   * before rejections: all of them within a few milliseconds share one read, and none is made if another has shown it.
   */
  syncSince(since: number): Promise<void>;
  /** Returns the position of a follower to which everything until now has been reported. */
  position(): FeedPosition;
  /** Returns what was committed after a position, or undefined if that is unknown or too much. */
  since(position: FeedPosition): Promise<Change[] | undefined>;
  /** Returns whether cached values may be used now (freshness.ts). */
  isFresh(): boolean;
  /**
   * Resolves as soon as cached values may be used, at the latest after the time that a request waits for a store.
   * @throws {StoreUnavailable} if they may not.
   */
  whenFresh(): Promise<void>;
  /** Returns whether the database server that answers now was checked for lost changes (loss-check.ts). */
  isChecked(): boolean;
  /** @throws {StoreUnavailable} if cached values may not be used. */
  requireFresh(): void;
  /** @throws {StoreUnavailable} if others are known to have made changes that this process does not know. */
  requireNotOld(): void;
  /** Returns how current this process's knowledge of changes is. */
  freshness(): FreshnessState;
  /** Reports changes that this process committed to its subscribers, and announces them to other processes. */
  committed(changes: readonly CommittedChange[]): Promise<void>;
  /** Returns the milliseconds since the last moment up to which every committed change has been reported. */
  lagMs(): number;
  /** Returns the state for `/readyz`. It is `loading` while revoked tokens are read; see also freshness.ts. */
  state(): 'ok' | 'loading' | 'stale' | 'unknown' | 'unchecked';
  close(): Promise<void>;
};
