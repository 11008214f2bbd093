import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailable } from '../../src/errors.ts';
import { createLog } from '../../src/observability/log.ts';
import type { Database } from '../../src/storage/database.ts';
import { openEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { eventually } from '../eventually.ts';
import { askPostgres, createEmptyTestDatabase } from '../services.ts';
import { startTcpProxy } from '../tcp-proxy.ts';

const log = createLog('silent');

describe.each(['PostgreSQL', 'embedded PostgreSQL'])('the database module with %s', (engine) => {
  let database: Database;

  beforeAll(async () => {
    database =
      engine === 'PostgreSQL'
        ? connectPostgres({ connectionString: await createEmptyTestDatabase(), log })
        : await openEmbeddedPostgres('memory');
    await database.run('CREATE TABLE things (id bigint PRIMARY KEY, name text)');
  });
  beforeEach(async () => {
    await database.query('DELETE FROM things');
  });
  afterAll(() => database.close());

  const ids = async () => (await database.query('SELECT id FROM things ORDER BY id')).map((row) => row['id']);

  test('returns every type as it was stored', async () => {
    const at = new Date('2026-02-03T04:05:06.789Z');
    const bytes = Buffer.from([0, 1, 0x7f, 0x80, 0xff]);
    const [row] = await database.query(
      `SELECT $1::bigint AS bigint, $2::bytea AS bytea, $3::text[] AS texts, $4::jsonb AS json, $5::timestamptz AS at,
              $6::text AS nothing, $7::boolean AS yes, $8::uuid AS uuid, $9::text AS text`,
      [
        2 ** 53 - 1,
        bytes,
        ['orders:read', 'a"b,{c}\\', ''],
        JSON.stringify({ keys: [{ kty: 'EC' }] }),
        at,
        null,
        true,
        '019a0000-0000-7000-8000-000000000001',
        `'; DROP TABLE things; --`,
      ],
    );
    expect(row).toMatchObject({
      bigint: 2 ** 53 - 1,
      texts: ['orders:read', 'a"b,{c}\\', ''],
      json: { keys: [{ kty: 'EC' }] },
      at,
      nothing: null,
      yes: true,
      uuid: '019a0000-0000-7000-8000-000000000001',
      text: `'; DROP TABLE things; --`,
    });
    expect(Buffer.from(row?.['bytea'] as Uint8Array).equals(bytes)).toBe(true);
  });

  test('finds rows by an array of values', async () => {
    await database.query('INSERT INTO things VALUES (1), (2), (3)');
    const rows = await database.query('SELECT id FROM things WHERE id = ANY ($1::bigint[]) ORDER BY id', [[1, 3, 9]]);
    expect(rows).toEqual([{ id: 1 }, { id: 3 }]);
  });

  test('commits a transaction that resolves and returns its result', async () => {
    const result = await database.transaction(async (transaction) => {
      await transaction.query('INSERT INTO things VALUES ($1)', [1]);
      await transaction.run('INSERT INTO things VALUES (2); INSERT INTO things VALUES (3)');
      return 'done';
    });
    expect(result).toBe('done');
    expect(await ids()).toEqual([1, 2, 3]);
  });

  test('rolls back a transaction that rejects and rethrows its error', async () => {
    const mine = new Error('mine');
    const transaction = database.transaction(async (inner) => {
      await inner.query('INSERT INTO things VALUES (1)');
      throw mine;
    });
    await expect(transaction).rejects.toBe(mine);
    expect(await ids()).toEqual([]);
  });

  test('rolls back the whole transaction of a statement that fails', async () => {
    const transaction = database.transaction(async (inner) => {
      await inner.query('INSERT INTO things VALUES (1)');
      await inner.query('INSERT INTO things VALUES (1)');
    });
    await expect(transaction).rejects.toMatchObject({ code: '23505' });
    expect(await ids()).toEqual([]);
  });

  test('rejects a transaction that failed even if its work ignored the error', async () => {
    const transaction = database.transaction(async (inner) => {
      await inner.query('INSERT INTO things VALUES (1)');
      await inner.query('SELECT 1/0').catch(() => undefined);
    });
    await expect(transaction).rejects.toThrow();
    expect(await ids()).toEqual([]);
  });

  test('rolls back a whole script if one statement fails', async () => {
    await expect(database.run('INSERT INTO things VALUES (1); SELECT 1/0')).rejects.toMatchObject({ code: '22012' });
    expect(await ids()).toEqual([]);
  });

  test('does not report an invalid statement as unavailable, and runs the next one', async () => {
    const mistake = database.query('SELEC 1');
    await expect(mistake).rejects.toMatchObject({ code: '42601' });
    await expect(mistake).rejects.not.toBeInstanceOf(StoreUnavailable);
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('notifies a listener of committed changes only, and not after it was closed', async () => {
    let heard = 0;
    const unlisten = await database.listen('things', () => {
      heard++;
    });
    const before = heard;
    await database
      .transaction(async (transaction) => {
        await transaction.query(`NOTIFY things`);
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    await database.query(`NOTIFY other_things`);
    await delay(200);
    expect(heard).toBe(before);

    await database.transaction(async (transaction) => {
      await transaction.query(`SELECT pg_notify('things', '')`);
    });
    await eventually(() => heard === before + 1);

    await unlisten();
    await database.query(`NOTIFY things`);
    await delay(100);
    expect(heard).toBe(before + 1);
  });
});

describe('the database module with PostgreSQL over the network', () => {
  let url: string;
  const opened: { close: () => Promise<void> }[] = [];

  beforeAll(async () => {
    url = await createEmptyTestDatabase();
    await askPostgres(url, 'CREATE TABLE things (id bigint PRIMARY KEY)');
  });
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });

  function open(options: { connectionString?: string; timeoutMs?: number; maxConnections?: number } = {}): Database {
    const database = connectPostgres({ connectionString: url, log, ...options });
    opened.push(database);
    return database;
  }

  async function throughProxy() {
    const proxy = await startTcpProxy(url);
    opened.push(proxy);
    return proxy;
  }

  async function terminate(condition: string): Promise<number> {
    const rows = await askPostgres(
      url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND ${condition}`,
    );
    return rows.length;
  }

  test('survives a session that the server ends while it is idle, and runs the next statement', async () => {
    const database = open();
    await Promise.all([database.query('SELECT 1'), database.query('SELECT 1')]);
    expect(await terminate(`state = 'idle'`)).toBe(2);
    await delay(100);
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('reports a statement as unavailable if the server ends its session, and runs the next one', async () => {
    const database = open();
    const slow = expect(database.query('SELECT pg_sleep(10)')).rejects.toBeInstanceOf(StoreUnavailable);
    await eventually(async () => (await terminate(`query LIKE 'SELECT pg_sleep%'`)) === 1);
    await slow;
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('survives a session that the server ends between the statements of a transaction', async () => {
    const database = open();
    const transaction = database.transaction(async (inner) => {
      await inner.query('INSERT INTO things VALUES (1)');
      expect(await terminate(`state = 'idle in transaction'`)).toBe(1);
      await delay(100);
      await inner.query('INSERT INTO things VALUES (2)');
    });
    await expect(transaction).rejects.toBeInstanceOf(StoreUnavailable);
    expect(await database.query('SELECT * FROM things')).toEqual([]);
  });

  test('reports a slow statement as unavailable, cancels it at the server and releases its connection', async () => {
    const database = open({ timeoutMs: 300, maxConnections: 1 });
    await expect(database.query('SELECT pg_sleep(20) AS too_long')).rejects.toBeInstanceOf(StoreUnavailable);
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const running = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT pg_sleep(20)%'`;
    await eventually(async () => (await askPostgres(url, running)).length === 0);
  });

  test('rolls back a transaction with a slow statement and releases its locks', async () => {
    const database = open({ timeoutMs: 300, maxConnections: 1 });
    const transaction = database.transaction(async (inner) => {
      await inner.query('INSERT INTO things VALUES (7)');
      await inner.query('SELECT pg_sleep(20)');
    });
    await expect(transaction).rejects.toBeInstanceOf(StoreUnavailable);
    // This would wait for the first transaction's lock if it were still held.
    await askPostgres(url, 'INSERT INTO things VALUES (7); DELETE FROM things');
  });

  test('permits a script to take longer than a statement', async () => {
    const database = open({ timeoutMs: 300, maxConnections: 1 });
    await database.run('SELECT pg_sleep(0.8); SELECT pg_sleep(0.1)');
    await database.transaction((transaction) => transaction.run('SELECT pg_sleep(0.8)'));
    await expect(database.query('SELECT pg_sleep(20)')).rejects.toBeInstanceOf(StoreUnavailable);
  });

  test('reports a statement as unavailable if no connection becomes free in time', async () => {
    const database = open({ timeoutMs: 300, maxConnections: 1 });
    let release: () => void = () => undefined;
    const held = database.transaction(
      () =>
        new Promise<void>((resolve) => {
          release = resolve;
        }),
    );
    await expect(database.query('SELECT 1')).rejects.toBeInstanceOf(StoreUnavailable);
    release();
    await held;
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test.each([
    ['refuses connections', 'postgres://keyturn@127.0.0.1:1/keyturn'],
    ['has a name that does not exist', 'postgres://keyturn@database.invalid/keyturn'],
  ])('reports a server that %s as unavailable', async (_, connectionString) => {
    const database = open({ connectionString, timeoutMs: 2_000 });
    await expect(database.query('SELECT 1')).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(database.run('SELECT 1')).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(database.transaction(async () => 1)).rejects.toBeInstanceOf(StoreUnavailable);
  });

  test('reports a server that rejects the credentials as unavailable', async () => {
    const elsewhere = new URL(url);
    elsewhere.password = 'no longer valid';
    elsewhere.pathname = '/no_such_database';
    const database = open({ connectionString: elsewhere.href });
    await expect(database.query('SELECT 1')).rejects.toBeInstanceOf(StoreUnavailable);
  });

  test('reports a silent network as unavailable, and works once the network is back', async () => {
    const proxy = await throughProxy();
    const database = open({ connectionString: proxy.url, timeoutMs: 300 });
    await database.query('SELECT 1');
    proxy.stall();
    for (const _ of [1, 2]) {
      await expect(database.query('SELECT 1')).rejects.toBeInstanceOf(StoreUnavailable);
    }
    proxy.restore();
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('closes while the network is silent during a statement', async () => {
    const proxy = await throughProxy();
    const database = connectPostgres({ connectionString: proxy.url, log });
    await Promise.all([database.query('SELECT 1'), database.query('SELECT 1')]);
    const unlisten = await database.listen('things', () => undefined);
    proxy.stall();
    const waiting = expect(database.query('SELECT 2')).rejects.toBeInstanceOf(StoreUnavailable);
    await delay(50);
    await Promise.all([unlisten(), database.close()]);
    await waiting;
  });

  test('reports a broken network as unavailable, and works once the network is back', async () => {
    const proxy = await throughProxy();
    const database = open({ connectionString: proxy.url, timeoutMs: 300 });
    await database.query('SELECT 1');
    proxy.cut();
    await expect(database.query('SELECT 1')).rejects.toBeInstanceOf(StoreUnavailable);
    proxy.restore();
    expect(await database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('reconnects a listener whose session ends, and notifies it once of what it may have missed', async () => {
    const database = open();
    let heard = 0;
    const unlisten = await database.listen('things', () => {
      heard++;
    });
    const before = heard;
    expect(await terminate(`query LIKE 'LISTEN%'`)).toBe(1);
    await askPostgres(url, 'NOTIFY things');
    await eventually(() => heard === before + 1);
    await askPostgres(url, 'NOTIFY things');
    await eventually(() => heard === before + 2);
    await unlisten();
  });

  test('leaves no session behind if a listener is closed while it reconnects', async () => {
    const proxy = await throughProxy();
    const database = open({ connectionString: proxy.url });
    const unlisten = await database.listen('things', () => undefined);
    proxy.cut();
    await eventually(() => proxy.connections() === 0);
    proxy.restore();
    proxy.stall();
    // The listener now waits for the server's response to its second connection.
    await eventually(() => proxy.connections() === 1);
    await unlisten();
    proxy.restore();
    await delay(300);
    const listening = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`;
    expect(await askPostgres(url, listening)).toEqual([]);
  });
});
