export type Row = Record<string, unknown>;

/** What a statement can be run on: the database itself, or a transaction of it. */
export type Queryable = {
  /**
   * Runs one statement with `$1`-style parameters.
   * @throws {StoreUnavailable} when the database cannot be asked or does not answer in time.
   */
  query<R extends Row = Row>(sql: string, parameters?: readonly unknown[]): Promise<R[]>;
  /** Runs a script of several statements without parameters, such as a migration; it may take minutes. */
  run(script: string): Promise<void>;
};

/** A transaction under way; what a writer takes, so that a change and its audit event are there together or not at all. */
export type Transaction = Queryable & { readonly inTransaction: true };

/** PostgreSQL, embedded or over the network, with the same guarantees. */
export type Database = Queryable & {
  /** Commits when `work` resolves, rolls back when it rejects. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  /**
   * Calls `onNotification` at every NOTIFY on `channel` until closed. Reconnects by itself; notifications sent meanwhile
   * are lost, so whoever listens also polls.
   */
  listen(channel: string, onNotification: () => void): Promise<() => Promise<void>>;
  /** Where there are several. */
  connections?(): { total: number; idle: number; waiting: number };
  close(): Promise<void>;
};
