export type Row = Record<string, unknown>;

/** Something that can run a statement: the database itself or one of its transactions. */
export type Queryable = {
  /**
   * Runs one statement with `$1`-style parameters.
   * @throws {StoreUnavailable} if the database cannot be reached or does not answer in time.
   */
  query<R extends Row = Row>(sql: string, parameters?: readonly unknown[]): Promise<R[]>;
  /** Runs a script of several statements without parameters, such as a migration. It may take minutes. */
  run(script: string): Promise<void>;
};

/** An open transaction. Functions that write take one, so that a change and its audit event are committed together. */
export type Transaction = Queryable & { readonly inTransaction: true };

/** PostgreSQL, embedded or over the network, with the same guarantees. */
export type Database = Queryable & {
  /** Commits when `work` resolves, rolls back when it rejects. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  /**
   * Calls `onNotification` at every NOTIFY on `channel` until closed. Reconnects after a failure; notifications sent
   * meanwhile are lost, so callers must also poll.
   */
  listen(channel: string, onNotification: () => void): Promise<() => Promise<void>>;
  /**
   * Calls `onOther` before the first statement on a connection to another server than that of the connection before.
   * Missing if there is only one server. A pooler hides the servers behind it.
   */
  watchServer?(onOther: () => void): void;
  /** Numbers of connections, if the database has a pool. */
  connections?(): { total: number; idle: number; waiting: number };
  close(): Promise<void>;
};

/** SQLSTATEs of PostgreSQL, which both drivers report as `code`. */
const sqlStates = { unique_violation: '23505', lock_not_available: '55P03' };

/**
 * Runs a write. If another transaction took the same unique value first, throws `taken` instead of the driver's error.
 */
export async function unlessTaken<T>(write: Promise<T>, taken: () => Error): Promise<T> {
  return await unless(sqlStates.unique_violation, write, taken);
}

/** Runs a statement. If it waits for a lock for longer than `lock_timeout`, throws `locked`. */
export async function unlessLocked<T>(statement: Promise<T>, locked: () => Error): Promise<T> {
  return await unless(sqlStates.lock_not_available, statement, locked);
}

async function unless<T>(sqlState: string, statement: Promise<T>, replaced: () => Error): Promise<T> {
  return await statement.catch((error: unknown) => {
    throw error instanceof Error && (error as { code?: unknown }).code === sqlState ? replaced() : error;
  });
}
