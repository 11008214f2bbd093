import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { KeyturnError, StoreUnavailable } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database, Row, Transaction } from './database.ts';

type Options = {
  connectionString: string;
  log: Log;
  maxConnections?: number;
  /** Until a statement or a free connection must be there; above it the answer is 503. */
  timeoutMs?: number;
};

// A bigint counts rows or versions here and stays far below 2^53; as a string it would only invite mistakes.
pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** How long a session may take to end: where the network is silent, the server's goodbye never comes. */
const goodbyeMs = 2_000;

/** PostgreSQL over the network, through a pool that recovers by itself. */
export function connectPostgres({ connectionString, log, maxConnections = 10, timeoutMs = 5_000 }: Options): Database {
  const settings = {
    connectionString,
    application_name: 'keyturn',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    // At the server too: a statement that nobody waits for any more would go on holding its locks.
    statement_timeout: timeoutMs,
    keepAlive: true,
  };
  const sockets = trackSockets();
  const pool = new pg.Pool({
    ...settings,
    stream: sockets.open,
    max: maxConnections,
    idleTimeoutMillis: 30_000,
  });
  // Without these listeners, a connection that the server ends while it is idle, in the pool or in a transaction, would end the process.
  pool.on('error', (error) => log.warn({ error: error.message }, 'an idle database connection was lost'));
  pool.on('connect', (client) => client.on('error', () => undefined));
  dropIdleAfterLoss(pool);

  // Whatever keeps us from connecting, also a password that is no longer right, says nothing about what is stored.
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
      await using(client, () => runScript(client, script, timeoutMs));
    },
    async transaction(work) {
      const client = await connect();
      return await using(client, () => inTransaction(client, work, timeoutMs));
    },
    listen: (channel, onNotification) => listen(settings, log, channel, onNotification),
    connections: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: async () => {
      await Promise.race([pool.end(), delay(goodbyeMs, undefined, { ref: false })]);
      sockets.destroy();
    },
  };
}

async function select<R extends Row>(client: pg.ClientBase, sql: string, parameters: readonly unknown[]): Promise<R[]> {
  const { rows } = await client.query<R>(sql, parameters as unknown[]);
  return rows;
}

async function runScript(client: pg.ClientBase, script: string, timeoutMs: number): Promise<void> {
  const scriptTimeoutMs = 600_000;
  await client.query(`SET statement_timeout = ${scriptTimeoutMs}`);
  try {
    await client.query({ text: script, query_timeout: scriptTimeoutMs } as pg.QueryConfig);
  } finally {
    // In a transaction that failed this fails too; its rollback undoes the first SET.
    await client.query(`SET statement_timeout = ${timeoutMs}`).catch(() => undefined);
  }
}

async function inTransaction<T>(
  client: pg.PoolClient,
  work: (transaction: Transaction) => Promise<T>,
  timeoutMs: number,
): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await work({
      inTransaction: true,
      query: <R extends Row>(sql: string, parameters: readonly unknown[] = []) =>
        select<R>(client, sql, parameters).catch((error) => rethrow(error)),
      run: (script) => runScript(client, script, timeoutMs).catch((error) => rethrow(error)),
    });
    // Where a statement failed and `work` went on regardless, COMMIT succeeds as a ROLLBACK.
    const { command } = await client.query('COMMIT');
    if (command !== 'COMMIT') throw new Error('a statement of the transaction failed, so nothing of it was kept');
    return result;
  } catch (error) {
    // After a time-out the connection may still be busy with the statement: it is closed instead, which rolls back too.
    if (!isConnectionError(error)) await client.query('ROLLBACK');
    throw error;
  }
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

/** The server's own complaints have a SQLSTATE; of those, classes 08, 53, 57 and 25006 mean "not now" (a standby, a shutdown). */
function isConnectionError(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return true;
  if (!(error instanceof Error) || error instanceof KeyturnError) return false;
  const code = (error as { code?: unknown }).code;
  if (error instanceof pg.DatabaseError) return typeof code === 'string' && /^(08|53|57)|^25006$/.test(code);
  return typeof code === 'string'
    ? /^E[A-Z_]+$/.test(code)
    : /timeout|terminated|connection|not queryable/i.test(error.message);
}

function rethrow(error: unknown): never {
  if (error instanceof StoreUnavailable || !(error instanceof Error)) throw error;
  if (isConnectionError(error)) throw new StoreUnavailable('database', error.message, error);
  throw error;
}

async function listen(
  settings: pg.ClientConfig,
  log: Log,
  channel: string,
  onNotification: () => void,
): Promise<() => Promise<void>> {
  const sockets = trackSockets();
  let client: pg.Client | undefined;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  async function connect(): Promise<void> {
    const connecting = new pg.Client({ ...settings, stream: sockets.open });
    let lost = false;
    const reconnect = (reason: string) => {
      if (lost || closed) return;
      lost = true;
      log.warn({ reason }, 'announcements are interrupted; polling goes on');
      connecting.end().catch(() => undefined);
      retry = setTimeout(() => void connect(), 1_000);
      retry.unref();
    };
    connecting.on('error', (error) => reconnect(error.message));
    connecting.on('end', () => reconnect('the connection ended'));
    connecting.on('notification', onNotification);
    try {
      await connecting.connect();
      await connecting.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
      client = connecting;
      onNotification();
    } catch (error) {
      reconnect((error as Error).message);
    }
  }

  await connect();
  return async () => {
    closed = true;
    clearTimeout(retry);
    await Promise.race([client?.end().catch(() => undefined), delay(goodbyeMs, undefined, { ref: false })]);
    // Also the one of a connection that was just being made.
    sockets.destroy();
  };
}

/**
 * What broke one connection, such as a machine that lost its power, has broken the others too, and an idle one says nothing of it.
 * Tried out one after the other, each until its time-out, they would hold up the recovery for a minute.
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

function trackSockets(): { open: () => Socket; destroy: () => void } {
  const sockets = new Set<Socket>();
  return {
    open: () => {
      const socket = new Socket();
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      return socket;
    },
    destroy: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}
