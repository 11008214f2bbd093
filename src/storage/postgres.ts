import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { KeyturnError, StoreUnavailable } from '../errors.ts';
import { destroyConnection } from '../internals/pg.ts';
import type { Log } from '../observability/log.ts';
import type { Database, Row, Transaction } from './database.ts';
import { findPrimary, splitHosts } from './find-primary.ts';
import { goodbyeMs, isPooled, listenToPostgres, trackSockets } from './listen-to-postgres.ts';

type Options = {
  connectionString: string;
  log: Log;
  maxConnections?: number;
  /**
   * Time limit in milliseconds for a statement, and for getting a free connection. After it, StoreUnavailable is
   * thrown.
   */
  timeoutMs?: number;
};

// Parse bigint as a number: here it counts rows or versions, which stay far below 2^53, and strings would invite
// mistakes.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/**
 * Connects to PostgreSQL over the network, through a pool that recovers from failures. Never writes to a standby, even
 * if the URL names several hosts. Works through a pooler in transaction mode.
 */
export function connectPostgres({
  connectionString: url,
  log,
  maxConnections = 10,
  timeoutMs = 5_000,
}: Options): Database {
  const hosts = splitHosts(url);
  const settings = {
    connectionString: hosts[0]?.url ?? url,
    application_name: 'keyturn',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    keepAlive: true,
  };
  const sockets = trackSockets();
  const primary =
    hosts.length > 1
      ? findPrimary(hosts, () => {
          log.warn('switched to another primary database server');
          sockets.destroy();
        })
      : undefined;
  /** Connects to the host that is the primary at that moment. */
  class Client extends pg.Client {
    override connect(): Promise<pg.Client>;
    override connect(callback: (error: Error) => void): void;
    override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
      const connected = this.#connect();
      if (!callback) return connected;
      connected.then(() => (callback as () => void)(), callback);
      return undefined;
    }

    async #connect(): Promise<pg.Client> {
      const found = await primary?.find();
      if (found) Object.assign(this, { host: found.host, port: found.port });
      try {
        return await super.connect();
      } catch (error) {
        primary?.lost();
        throw error;
      }
    }
  }
  let server: string | undefined;
  const watchers: (() => void)[] = [];

  function noteServer(of: string): void {
    if (server !== undefined && of !== server) for (const onOther of watchers) onOther();
    server = of;
  }

  const pool = new pg.Pool({
    ...settings,
    Client: Client as unknown as NonNullable<pg.PoolConfig['Client']>,
    stream: sockets.open,
    max: maxConnections,
    idleTimeoutMillis: 30_000,
    onConnect: async (client) => noteServer(await prepare(client, timeoutMs)),
  });
  // Without these listeners, a connection that the server closes while it is idle would end the process.
  pool.on('error', (error) => log.warn({ error: error.message }, 'lost an idle database connection'));
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('release', (broken) => broken && primary?.lost());
  dropIdleAfterLoss(pool);

  // Report every failure to connect, even a wrong password, as unavailable, because it does not show whether a row
  // exists.
  const connect = () =>
    pool.connect().catch((error: Error) => {
      throw new StoreUnavailable('database', error.message, error);
    });

  return {
    async query<R extends Row>(sql: string, parameters: readonly unknown[] = []) {
      const client = await connect();
      return await using(client, () => select<R>(client, sql, parameters));
    },
    async run(script) {
      const client = await connect();
      await using(client, () => runScript(client, script, timeoutMs, 'SET'));
    },
    async transaction(work) {
      const client = await connect();
      return await using(client, () => inTransaction(client, work, timeoutMs));
    },
    listen: (channel, onNotification) =>
      listenToPostgres((stream) => new Client({ ...settings, stream }), log, channel, onNotification),
    watchServer: (onOther) => watchers.push(onOther),
    connections: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: async () => {
      primary?.close();
      await Promise.race([pool.end(), delay(goodbyeMs, undefined, { ref: false })]);
      sockets.destroy();
    },
  };
}

/**
 * Rejects a standby, which is read-only and may lag behind. A pooler (PgBouncer) reports its own process id; a session
 * setting would reach whichever server connection is used next, so behind a pooler the time limit is set per
 * transaction and by the role.
 * @returns the start time of the server, which identifies it.
 */
async function prepare(client: pg.ClientBase, timeoutMs: number): Promise<string> {
  try {
    const { rows } = await client.query<{ standby: boolean; server: string }>(
      'SELECT pg_is_in_recovery() AS standby, pg_postmaster_start_time()::text AS server',
    );
    const [row] = rows;
    if (row?.standby !== false) throw new StoreUnavailable('database', 'this is a standby, not the primary');
    // Limit the server too: a statement whose caller has timed out would keep its locks.
    // Compiling a statement takes longer than any statement here runs (https://www.postgresql.org/docs/current/jit-decision.html).
    if (!(await isPooled(client))) await client.query(`SET statement_timeout = ${timeoutMs}; SET jit = off`);
    return row.server;
  } catch (error) {
    if (!destroyConnection(client)) (client as pg.Client).end().catch(() => undefined);
    throw error;
  }
}

async function select<R extends Row>(client: pg.ClientBase, sql: string, parameters: readonly unknown[]): Promise<R[]> {
  const { rows } = await client.query<R>(sql, parameters as unknown[]);
  return rows;
}

async function runScript(
  client: pg.ClientBase,
  script: string,
  timeoutMs: number,
  set: 'SET' | 'SET LOCAL',
): Promise<void> {
  const scriptTimeoutMs = 600_000;
  await client.query(`${set} statement_timeout = ${scriptTimeoutMs}`);
  try {
    await client.query({ text: script, query_timeout: scriptTimeoutMs } as pg.QueryConfig);
  } finally {
    // This fails in a failed transaction, whose rollback reverts the first SET anyway.
    await client.query(`${set} statement_timeout = ${timeoutMs}`).catch(() => undefined);
  }
}

async function inTransaction<T>(
  client: pg.PoolClient,
  work: (transaction: Transaction) => Promise<T>,
  timeoutMs: number,
): Promise<T> {
  await client.query(`BEGIN; SET LOCAL statement_timeout = ${timeoutMs}`);
  try {
    const result = await work({
      inTransaction: true,
      query: <R extends Row>(sql: string, parameters: readonly unknown[] = []) =>
        select<R>(client, sql, parameters).catch((error) => rethrow(error)),
      run: (script) => runScript(client, script, timeoutMs, 'SET LOCAL').catch((error) => rethrow(error)),
    });
    // Check the command tag of COMMIT: after a failed statement that `work` ignored, COMMIT succeeds but rolls back.
    await commit(client);
    return result;
  } catch (error) {
    // After a time-out the connection may still be busy. It is closed, which rolls back too.
    if (!isConnectionError(error)) await client.query('ROLLBACK');
    throw error;
  }
}

async function commit(client: pg.PoolClient): Promise<void> {
  let warning: string | undefined;
  const onNotice = (notice: { code?: string | undefined; message?: string | undefined }) => {
    if (notice.code === '01000') warning = notice.message ?? '';
  };
  client.on('notice', onNotice);
  const { command } = await client.query('COMMIT').finally(() => client.off('notice', onNotice));
  if (command !== 'COMMIT') throw new Error('a statement of the transaction failed, so nothing of it was kept');
  // A synchronous standby did not confirm in time: the change is committed here but would be lost if that standby took
  // over.
  if (warning !== undefined) throw new StoreUnavailable('database', warning);
}

async function using<T>(client: pg.PoolClient, work: () => Promise<T>): Promise<T> {
  let broken = false;
  try {
    return await work();
  } catch (error) {
    broken = isConnectionError(error);
    return rethrow(error);
  } finally {
    client.release(broken);
  }
}

/**
 * Errors from the server have a SQLSTATE. Classes 08, 57 and 25006 mean that this server cannot serve now (a standby, a
 * shutdown).
 */
function isConnectionError(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return !isShortage(error.cause);
  if (!(error instanceof Error) || error instanceof KeyturnError) return false;
  const code = (error as { code?: unknown }).code;
  if (error instanceof pg.DatabaseError) return typeof code === 'string' && /^(08|57)|^25006$/.test(code);
  return typeof code === 'string'
    ? /^E[A-Z_]+$/.test(code)
    : /timeout|terminated|connection|not queryable/i.test(error.message);
}

/**
 * Returns whether the server lacks disk or memory for this statement (class 53). Its connections are intact, and reads
 * still work.
 */
function isShortage(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code?.startsWith('53') === true;
}

function rethrow(error: unknown): never {
  if (error instanceof StoreUnavailable || !(error instanceof Error)) throw error;
  if (isConnectionError(error) || isShortage(error)) throw new StoreUnavailable('database', error.message, error);
  throw error;
}

/**
 * Drops idle connections when one breaks: a machine that lost power broke all of them, and an idle one does not report
 * that. Trying them one by one until each times out would delay recovery by a minute.
 */
function dropIdleAfterLoss(pool: pg.Pool): void {
  const idle = new Set<pg.PoolClient>();
  pool.on('acquire', (client) => idle.delete(client));
  pool.on('remove', (client) => idle.delete(client));
  pool.on('release', (broken, client) => {
    if (!broken) {
      idle.add(client);
      return;
    }
    for (const other of idle) (other as pg.PoolClient & { connection: { stream: Socket } }).connection.stream.destroy();
  });
}
