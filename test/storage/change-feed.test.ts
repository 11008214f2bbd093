import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailable } from '../../src/errors.ts';
import { createLog } from '../../src/observability/log.ts';
import { type Change, type ChangeFeed, recordChange, recordChanges } from '../../src/storage/change.ts';
import { createChangeFeed } from '../../src/storage/change-feed.ts';
import type { Database, Row } from '../../src/storage/database.ts';
import { openEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { eventually } from '../eventually.ts';
import { jump } from '../pass-time.ts';
import { createTestDatabase } from '../services.ts';
import { startTcpProxy } from '../tcp-proxy.ts';

const log = createLog('silent');
const closing: { close: () => Promise<void> }[] = [];

afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each.close();
});

type Follower = { feed: ChangeFeed; told: Change[]; targets: () => string[] };

function follow(database: Database, staleSeconds = 60): Follower {
  const feed = createChangeFeed({ database, log, staleSeconds });
  const told: Change[] = [];
  feed.subscribe((change) => told.push(change));
  feed.subscribeToRevoked(({ targets, expiresAt }) => {
    const position = feed.position();
    for (const target of targets.split('\n')) told.push({ kind: 'token', target, expiresAt, position });
  });
  closing.push(feed);
  return { feed, told, targets: () => told.map(({ target }) => target) };
}

function change(database: Database, target: string): Promise<void> {
  return database.transaction((transaction) => recordChange(transaction, { kind: 'client', target, at: new Date() }));
}

const inAnHour = () => new Date(Date.now() + 3_600_000);

describe.each(['PostgreSQL', 'embedded PostgreSQL'])('the change feed of %s', (engine) => {
  let here: Database;
  let elsewhere: Database;

  beforeAll(async () => {
    if (engine === 'PostgreSQL') {
      const connectionString = await createTestDatabase();
      here = connectPostgres({ connectionString, log });
      elsewhere = connectPostgres({ connectionString, log });
    } else {
      here = await openEmbeddedPostgres('memory');
      elsewhere = here;
      await migrate(here);
    }
  });
  afterAll(async () => {
    await here.close();
    if (elsewhere !== here) await elsewhere.close();
  });

  test('announces the changes of another process in their order', async () => {
    const { feed, targets } = follow(here);
    await feed.start();
    for (const target of ['a', 'b', 'c', 'd', 'e', 'f']) {
      await delay(50);
      await change(elsewhere, target);
      await eventually(() => targets().includes(target));
    }
    expect(targets()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  test('has announced a change to subscribers in the same process when `sync` resolves', async () => {
    const { feed, targets } = follow(here);
    await feed.start();
    await Promise.all([feed.sync(), change(elsewhere, 'synced')]);
    await feed.sync();
    expect(targets()).toEqual(['synced']);
  });

  test('never announces a change that is rolled back', async () => {
    const { feed, targets } = follow(here);
    await feed.start();
    const rolledBack = elsewhere.transaction(async (transaction) => {
      await recordChange(transaction, { kind: 'client', target: 'never', at: new Date() });
      throw new Error('rolled back');
    });
    await expect(rolledBack).rejects.toThrow('rolled back');
    await change(elsewhere, 'after');
    await eventually(() => targets().includes('after'));
    await feed.sync();
    expect(targets()).toEqual(['after']);
  });

  test('announces each of many concurrent changes exactly once to every follower', async () => {
    const followers = [follow(here), follow(elsewhere)];
    for (const { feed } of followers) await feed.start();
    const targets = Array.from({ length: 200 }, (_, index) => `many-${index}`);
    await Promise.all(targets.map((target, index) => change(index % 2 ? here : elsewhere, target)));
    for (const follower of followers) await eventually(() => follower.told.length >= targets.length);
    for (const { feed } of followers) await feed.sync();
    for (const follower of followers) expect(follower.targets().sort()).toEqual(targets.toSorted());
  });

  test('announces at its start only revocations of tokens that have not expired', async () => {
    const expiresAt = inAnHour();
    await elsewhere.transaction(async (transaction) => {
      const at = new Date();
      await recordChange(transaction, { kind: 'token', target: 'live', at, expiresAt });
      await recordChange(transaction, { kind: 'token', target: 'ended', at, expiresAt: new Date(Date.now() - 1) });
    });
    // The rows above must precede the position at which a follower starts.
    await change(elsewhere, 'something else');
    const { feed, told } = follow(here);
    await feed.start();
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ kind: 'token', target: 'live', expiresAt });
    await elsewhere.query(`DELETE FROM changes WHERE kind = 'token'`);
  });

  test('announces a change if notifications are missing', async () => {
    await elsewhere.run('ALTER TABLE changes DISABLE TRIGGER changes_announce');
    const { feed, targets } = follow(here);
    await feed.start();
    for (const target of ['silent-1', 'silent-2']) {
      await change(elsewhere, target);
      await eventually(() => targets().includes(target));
    }
    expect(targets()).toEqual(['silent-1', 'silent-2']);
    await elsewhere.run('ALTER TABLE changes ENABLE TRIGGER changes_announce');
  });

  test('permits the use of cached data only while it follows changes', async () => {
    const { feed } = follow(here, 0);
    expect(() => feed.requireFresh()).toThrow(StoreUnavailable);
    await feed.start();
    feed.requireFresh();
    jump(1_500);
    expect(feed.lagMs()).toBeGreaterThanOrEqual(1_500);
    expect(() => feed.requireFresh()).toThrow(StoreUnavailable);
    await feed.sync();
    feed.requireFresh();
  });
});

describe('the change feed of PostgreSQL over the network', () => {
  let url: string;
  let elsewhere: Database;

  beforeAll(async () => {
    url = await createTestDatabase();
    elsewhere = connectPostgres({ connectionString: url, log });
  });
  afterAll(() => elsewhere.close());

  async function throughProxy() {
    const proxy = await startTcpProxy(url);
    const database = connectPostgres({ connectionString: proxy.url, log, timeoutMs: 500 });
    closing.push(proxy, database);
    return { proxy, database };
  }

  test('neither skips nor repeats a change whose transaction began before others and committed after them', async () => {
    const { feed, targets } = follow(elsewhere);
    await feed.start();
    await elsewhere.transaction(async (early) => {
      await recordChange(early, { kind: 'client', target: 'late-commit', at: new Date() });
      for (const target of ['first', 'second']) {
        await change(elsewhere, target);
        await eventually(() => targets().includes(target));
      }
      for (let poll = 0; poll < 5; poll++) await feed.sync();
      expect(targets()).toEqual(['first', 'second']);
    });
    await eventually(() => targets().includes('late-commit'));
    await change(elsewhere, 'third');
    await eventually(() => targets().includes('third'));
    await feed.sync();
    expect(targets()).toEqual(['first', 'second', 'late-commit', 'third']);
  });

  test('reads nothing twice because of an idle transaction elsewhere in the cluster', async () => {
    const idle = connectPostgres({ connectionString: await createTestDatabase(), log });
    closing.push(idle);
    let read = 0;
    const counting: Database = {
      ...elsewhere,
      query: async <R extends Row>(sql: string, parameters?: readonly unknown[]) => {
        const rows = await elsewhere.query<R>(sql, parameters);
        if (sql.includes('changes')) read += rows.length;
        return rows;
      },
    };
    const { feed, told } = follow(counting);
    await feed.start();
    await idle.transaction(async (transaction) => {
      // The transaction gets a transaction id, so PostgreSQL's oldest one stays the same from here on.
      await transaction.query('SELECT pg_current_xact_id()');
      for (let batch = 0; batch < 10; batch += 1) {
        await elsewhere.transaction((writer) =>
          recordChanges(
            writer,
            Array.from({ length: 500 }, (_, index) => ({ kind: 'client' as const, target: `${batch}-${index}` })),
            new Date(),
          ),
        );
        await feed.sync();
      }
    });
    expect(told).toHaveLength(5_000);
    expect(read).toBeLessThan(5_500);
  });

  test('does not miss a change that was uncommitted at its start', async () => {
    const { feed, targets } = follow(elsewhere);
    let resets = 0;
    const onReset = () => {
      resets += 1;
    };
    feed.subscribe(() => undefined, onReset);
    await elsewhere.transaction(async (writer) => {
      await recordChange(writer, { kind: 'token', target: 'early', at: new Date(), expiresAt: inAnHour() });
      await change(elsewhere, 'higher number');
      await feed.start();
      expect(targets()).toEqual([]);
    });
    await feed.sync();
    // Changes of other kinds are not read again, so the whole cache is dropped instead.
    expect(resets).toBe(1);
    expect(targets()).toEqual(['early']);
    await elsewhere.query(`DELETE FROM changes WHERE kind = 'token'`);
  });

  test('is not delayed by a rolled-back change while other transactions stay open', async () => {
    const { feed, targets } = follow(elsewhere);
    await feed.start();
    await elsewhere.transaction(async (open) => {
      await recordChange(open, { kind: 'client', target: 'open', at: new Date() });
      for (const target of ['one', 'two', 'three']) {
        const abandoned = elsewhere.transaction(async (transaction) => {
          await recordChange(transaction, { kind: 'client', target: 'abandoned', at: new Date() });
          throw new Error('abandoned');
        });
        await expect(abandoned).rejects.toThrow('abandoned');
        await change(elsewhere, target);
        await feed.sync();
      }
      expect(targets()).toEqual(['one', 'two', 'three']);
    });
    await feed.sync();
    expect(targets()).toEqual(['one', 'two', 'three', 'open']);
  });

  test('announces changes that were committed during an outage once the database can be reached', async () => {
    const { proxy, database } = await throughProxy();
    const { feed, targets } = follow(database);
    await feed.start();
    proxy.cut();
    await change(elsewhere, 'meanwhile');
    await expect(feed.sync()).rejects.toBeInstanceOf(StoreUnavailable);
    expect(targets()).toEqual([]);
    proxy.restore();
    await eventually(() => targets().includes('meanwhile'));
    await change(elsewhere, 'afterwards');
    await eventually(() => targets().includes('afterwards'));
    expect(targets()).toEqual(['meanwhile', 'afterwards']);
  });

  test.each(['cut', 'stall'] as const)(
    'permits cached data after a %s only for staleSeconds, and again once the database is back',
    async (fault) => {
      const { proxy, database } = await throughProxy();
      const { feed } = follow(database, 600);
      await feed.start();
      proxy[fault]();
      jump(500_000);
      feed.requireFresh();
      const stale = () => {
        try {
          feed.requireFresh();
          return false;
        } catch (error) {
          expect(error).toBeInstanceOf(StoreUnavailable);
          return true;
        }
      };
      jump(101_000);
      expect(stale()).toBe(true);
      await expect(feed.sync()).rejects.toBeInstanceOf(StoreUnavailable);
      expect(stale()).toBe(true);
      proxy.restore();
      await eventually(() => !stale());
    },
  );

  test('permits no cached data with staleSeconds 0 once an outage of the database is detected', async () => {
    const { proxy, database } = await throughProxy();
    const { feed } = follow(database, 0);
    await feed.start();
    proxy.cut();
    await expect(feed.sync()).rejects.toBeInstanceOf(StoreUnavailable);
    jump(1_001);
    expect(() => feed.requireFresh()).toThrow(StoreUnavailable);
  });
});
