import type { DeliveryOutcome, NoticeChannel } from '../../src/notices/channel.ts';
import { createNotices, type Notices } from '../../src/notices/deliver-notices.ts';
import type { Notice } from '../../src/notices/notice.ts';
import { insertNotices, type NewNotice } from '../../src/notices/notice-store.ts';
import { createLog } from '../../src/observability/log.ts';
import type { Database } from '../../src/storage/database.ts';
import { openEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { deploymentOrganization } from '../../src/storage/organization-limit.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { day, hour, minute } from '../regeneration/world.ts';
import { createTestDatabase } from '../services.ts';

const log = createLog('silent');
const engines: [string, () => Promise<Database>][] = [
  ['PostgreSQL', async () => connectPostgres({ connectionString: await createTestDatabase(), log })],
  [
    'embedded PostgreSQL',
    async () => {
      const database = await openEmbeddedPostgres('memory');
      await migrate(database);
      return database;
    },
  ],
];

describe.each(engines)('notices in %s', (engine, open) => {
  let database: Database;
  let now: number;
  let opened: Notices[];
  /** What receivers got, as the channel saw it. */
  let got: { receiver: string; thing: string; name: string; id: string }[];
  /** The answer of a receiver to a notice; delivered by default. */
  let answer: (receiver: string, notice: Notice) => DeliveryOutcome | Promise<DeliveryOutcome>;

  beforeAll(async () => {
    database = await open();
  });
  afterAll(() => database.close());
  beforeEach(async () => {
    await database.run('TRUNCATE notices, notice_moments, notice_receivers, notice_deliveries');
    now = Date.now();
    opened = [];
    got = [];
    answer = () => ({ as: 'delivered' });
  });
  afterEach(async () => {
    await Promise.all(opened.map((notices) => notices.close()));
  });

  /** Another process that delivers to these receivers, one notice after the other. */
  function process(receivers: readonly string[], settings: Partial<NoticeChannel> = {}): Notices {
    const channel: NoticeChannel = {
      name: 'webhook',
      batchSize: 10,
      collectMs: 0,
      quietMs: 0,
      findReceivers: async () => receivers.map((id) => ({ id, name: id, organizationId: deploymentOrganization })),
      deliver: async (receiver, notices) => {
        const outcomes: DeliveryOutcome[] = [];
        for (const notice of notices) {
          const outcome = await answer(receiver, notice);
          outcomes.push(outcome);
          if (outcome.as === 'delivered')
            got.push({ receiver, thing: notice.thing, name: notice.subject.name, id: notice.id });
          if (outcome.as === 'retry') break;
        }
        return outcomes;
      },
      ...settings,
    };
    const notices = createNotices({ database, clock: () => now, log, channels: [channel] }, async () => undefined);
    opened.push(notices);
    return notices;
  }

  function notice(name: string, thing = 'client:1', moment?: string): NewNotice {
    return {
      kind: 'new_network',
      at: new Date(now),
      organizationId: deploymentOrganization,
      thing,
      subject: { type: 'client', id: thing, name },
      data: {},
      ...(moment ? { moment } : {}),
    };
  }

  const tell = (...notices: NewNotice[]) => database.transaction((transaction) => insertNotices(transaction, notices));
  const names = (receiver = 'a') => got.filter((each) => each.receiver === receiver).map(({ name }) => name);
  const states = async () =>
    (await database.query('SELECT state FROM notice_deliveries ORDER BY position')).map(({ state }) => state);

  test('delivers each notice once to each receiver, in order', async () => {
    const one = process(['a', 'b']);
    await tell(notice('1'), notice('2'), notice('3', 'client:2'));
    await one.turn();
    await one.turn();
    await tell(notice('4'));
    await one.turn();
    expect([names('a'), names('b')]).toEqual([
      ['1', '2', '3', '4'],
      ['1', '2', '3', '4'],
    ]);
  });

  test('does not store a notice whose transaction is rolled back', async () => {
    await expect(
      database.transaction(async (transaction) => {
        await insertNotices(transaction, [notice('1', 'client:1', 'moment')]);
        throw new Error('rolled back');
      }),
    ).rejects.toThrow('rolled back');
    const one = process(['a']);
    await one.turn();
    expect(names()).toEqual([]);
    await tell(notice('2', 'client:1', 'moment'));
    await one.turn();
    expect(names()).toEqual(['2']);
  });

  test('tells a moment once, however many processes tell it', async () => {
    const moments = () => [notice('1', 'client:1', 'a'), notice('1', 'client:1', 'a'), notice('2', 'client:1', 'b')];
    await Promise.all([tell(...moments()), tell(...moments().reverse()), tell(...moments())]);
    await process(['a']).turn();
    expect(names().sort()).toEqual(['1', '2']);
  });

  test('delivers once when many processes deliver at the same time', async () => {
    const all = Array.from({ length: 6 }, () => process(['a', 'b', 'c']));
    const expected = Array.from({ length: 60 }, (_, index) => String(index));
    for (const name of expected) await tell(notice(name, `client:${Number(name) % 4}`));
    await Promise.all(all.map((each) => each.turn()));
    for (const receiver of ['a', 'b', 'c']) expect(names(receiver)).toEqual(expected);
  });

  test('retries with longer and longer pauses, and in order', async () => {
    const attempts: number[] = [];
    answer = () => {
      attempts.push(now);
      return { as: 'retry', reason: 'refused' };
    };
    const one = process(['a']);
    await tell(notice('1'), notice('2'));
    for (; attempts.length < 6; now += 10_000) await one.turn();
    const pauses = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0));
    for (const [index, pause] of pauses.entries()) {
      // 30 seconds that double, a quarter more or less; a turn every ten seconds.
      expect(pause).toBeGreaterThanOrEqual(0.75 * 30_000 * 2 ** index);
      expect(pause).toBeLessThanOrEqual(1.25 * 30_000 * 2 ** index + 10_000);
    }
    answer = () => ({ as: 'delivered' });
    now += hour;
    await one.turn();
    expect(names()).toEqual(['1', '2']);
  });

  test('parks what cannot be delivered for three days, and delivers what comes later', async () => {
    answer = (_, { thing }) => (thing === 'client:1' ? { as: 'retry', reason: 'it is down' } : { as: 'delivered' });
    const one = process(['a']);
    await tell(notice('1'));
    const startedAt = now;
    for (; now < startedAt + 3 * day; now += hour) {
      await one.turn();
      expect(await states()).toEqual(['pending']);
    }
    now += 5 * hour;
    await one.turn();
    expect(await database.query('SELECT state, reason FROM notice_deliveries')).toEqual([
      { state: 'parked', reason: 'it is down' },
    ]);
    await tell(notice('2', 'client:2'));
    now += 5 * hour;
    await one.turn();
    expect(names()).toEqual(['2']);
  });

  test('does not deliver a later notice about a thing before an earlier one that is refused at once is parked', async () => {
    answer = (_, { subject }) => (subject.name === '1' ? { as: 'parked', reason: 'refused' } : { as: 'delivered' });
    const one = process(['a']);
    await tell(notice('1'), notice('2'));
    await one.turn();
    expect([names(), await states()]).toEqual([['2'], ['parked', 'delivered']]);
  });

  test('does not let a failing receiver delay another one', async () => {
    answer = (receiver) => (receiver === 'a' ? { as: 'retry', reason: 'down' } : { as: 'delivered' });
    const one = process(['a', 'b']);
    await tell(notice('1'));
    await one.turn();
    await tell(notice('2'));
    await one.turn();
    expect([names('a'), names('b')]).toEqual([[], ['1', '2']]);
  });

  test('delivers nothing more about a thing to a receiver in the quiet time, then everything together', async () => {
    const calls: string[][] = [];
    const one = process(['a'], {
      quietMs: hour,
      deliver: async (_, notices) => {
        calls.push(notices.map(({ subject }) => subject.name));
        return notices.map(() => ({ as: 'delivered' }));
      },
    });
    await tell(notice('1'));
    await one.turn();
    now += minute;
    await tell(notice('2'), notice('other', 'client:2'));
    await one.turn();
    now += 30 * minute;
    await tell(notice('3'));
    await one.turn();
    now += 30 * minute;
    await one.turn();
    expect(calls).toEqual([['1'], ['other'], ['2', '3']]);
  });

  test('repeats the same batch if the result of an attempt is unknown', async () => {
    const calls: string[][] = [];
    const one = process(['a'], {
      deliver: async (_, notices) => {
        calls.push(notices.map(({ subject }) => subject.name));
        if (calls.length === 1) throw new Error('the connection ended');
        return notices.map(() => ({ as: 'delivered' }));
      },
    });
    await tell(notice('1'), notice('2'));
    await one.turn();
    await tell(notice('3'));
    now += minute;
    await one.turn();
    expect(calls).toEqual([['1', '2'], ['1', '2'], ['3']]);
  });

  test('leaves a receiver to the process that delivers to it, until its lease ends by the clock of the database', async () => {
    const { promise: stuck, resolve } = Promise.withResolvers<DeliveryOutcome>();
    const asked = Promise.withResolvers<void>();
    answer = () => {
      asked.resolve();
      return stuck;
    };
    const first = process(['a']);
    await tell(notice('1'));
    const turn = first.turn();
    await asked.promise;
    answer = () => ({ as: 'delivered' });
    const second = process(['a']);
    now += day;
    await second.turn();
    const duringLease = names();
    await database.query(`UPDATE notice_receivers SET leased_until = clock_timestamp() - interval '1 second'`);
    await second.turn();
    const afterLease = names();
    // The first process ends before anything is compared, because a failed test closes it, which waits for its attempt.
    resolve({ as: 'delivered' });
    await turn;
    expect([duringLease, afterLease]).toEqual([[], ['1']]);
    expect(new Set(got.map(({ id }) => id)).size).toBe(1);
    expect([engine, await states()]).toEqual([engine, ['delivered']]);
  });
});
