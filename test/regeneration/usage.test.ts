import { randomUUID } from 'node:crypto';
import { createUsageCounter } from '../../src/usage/usage-counter.ts';
import { findSources, findUsageHours } from '../../src/usage/usage-report.ts';
import { addUsage, rollUpUsage } from '../../src/usage/usage-store.ts';
import { eventually } from '../eventually.ts';
import { startTestServer } from '../harness.ts';
import { post } from '../oauth/http-client.ts';
import { createWorld, day, hour, type World } from './world.ts';

describe('the use of a secret', () => {
  let world: World;

  beforeEach(async () => {
    world = await createWorld();
  });
  afterEach(async () => {
    await world.close();
  });

  const usage = async (hours = 24) => (await world.adminFetch(`/clients/${world.shop.id}/usage?hours=${hours}`)).json;

  it('is summed over processes and not lost when they end', async () => {
    const others = await Promise.all([1, 2].map(() => startTestServer({ stores: world.stores, clock: world.now })));
    const urls = [world, ...others].map(({ publicUrl }) => `${publicUrl}/oauth2/token`);
    const form = { grant_type: 'client_credentials' };
    const answers = await Promise.all(
      Array.from({ length: 150 }, (_, index) =>
        post(urls[index % urls.length] as string, form, { basic: [world.shop.id, world.shop.secret] }),
      ),
    );
    const issued = answers.filter(({ status }) => status === 200).length;
    expect(issued).toBeGreaterThan(100);
    await Promise.all(others.map((other) => other.close()));
    const { json: review } = await world.post('/regeneration/review');
    expect(review.impact).toMatchObject({ tokens_24h: issued, live_tokens: issued });
    expect((await usage()).secrets).toMatchObject([{ issued }]);
  });

  it('is written within five seconds', async () => {
    await world.token(world.shop);
    const { core } = world;
    const written = async () => (await core.database.query('SELECT 1 FROM usage_sources')).length === 1;
    await eventually(written);
  });

  it('is counted without a statement during a token request', async () => {
    await world.token(world.shop);
    await world.core.usage.flush();
    const { unlimitedDatabase: database } = world.core;
    const { query, transaction } = database;
    let asked = 0;
    database.query = (...given) => {
      if (/usage|secret|regeneration/.test(given[0])) asked += 1;
      return query(...given) as never;
    };
    database.transaction = (work) => {
      asked += 1;
      return transaction(work);
    };
    for (let count = 0; count < 20; count++) await world.token(world.shop);
    expect(asked).toBe(0);
    Object.assign(database, { query, transaction });
  });

  it('counts refusals by reason if the client is known', async () => {
    const { shop, askToken, post: act } = world;
    await askToken(shop, {}, { scope: 'nobody:offers' });
    await askToken({
      ...shop,
      secret: shop.secret.replace(/^kts_./, (start) => (start === 'kts_a' ? 'kts_b' : 'kts_a')),
    });
    await askToken({ ...shop, secret: world.api.secret });
    await act('/disable');
    await askToken(shop);
    await act('/enable');
    const { json } = await world.regenerate();
    await act(`/regenerations/${json.regeneration_id}/undo`);
    await askToken({ id: shop.id, secret: json.client_secret });

    const report = await usage();
    expect(report.secrets).toMatchObject([
      { status: 'undone', issued: 0, refused: { undone_secret: 1 }, sources: [{ refused_as: 'undone_secret' }] },
      { status: 'current', issued: 0, refused: { invalid_scope: 1, client_disabled: 1 } },
    ]);
    // The secret with a wrong checksum was rejected before any look-up.
    expect(report.without_secret).toMatchObject({ refused: { wrong_secret: 1 }, sources: [{ address: '127.0.0.1' }] });
  });

  it('includes requests other than for a token, such as introspection by a resource server', async () => {
    const token = await world.token(world.shop);
    await world.isLive(token);
    const { json } = await world.adminFetch(`/clients/${world.api.id}/regeneration/review`, { method: 'POST' });
    expect(json.impact).toMatchObject({ tokens_24h: 0, live_tokens: 0, used_by: [{ address: '127.0.0.1' }] });
  });

  it('is reported by the hour and with the time of the last use', async () => {
    world.pass(hour - (world.now() % hour));
    const start = world.now();
    await world.token(world.shop);
    world.pass(hour);
    await world.token(world.shop);
    await world.token(world.shop);
    const [secret] = (await usage(2)).secrets;
    expect(secret.per_hour).toEqual([
      { starts_at: new Date(start).toISOString(), issued: 1, used: 0, refused: 0 },
      { starts_at: new Date(start + hour).toISOString(), issued: 2, used: 0, refused: 0 },
    ]);
    expect((await usage(1)).secrets[0]).toMatchObject({ issued: 2 });
    const lastUsed = new Date(world.now()).toISOString();
    const { json: list } = await world.adminFetch('/clients?q=Shop');
    expect(list.data).toMatchObject([{ last_used_at: lastUsed, secrets: [{ last_used_at: lastUsed }] }]);
  });

  it('counts as live tokens those of the current epoch that are neither expired nor undone', async () => {
    const live = async () => (await world.post('/regeneration/review')).json.impact.live_tokens;
    await world.token(world.shop);
    const { json, credentials } = await world.regenerate();
    await world.token(credentials);
    expect(await live()).toBe(2);
    await world.post(`/regenerations/${json.regeneration_id}/undo`);
    expect(await live()).toBe(1);
    await world.post('/tokens/revoke');
    expect(await live()).toBe(0);
    await world.token(world.shop);
    expect(await live()).toBe(1);
    world.pass(hour + 60_000);
    expect(await live()).toBe(0);
  });
});

describe('usage counts', () => {
  let world: World;
  let now: number;

  beforeAll(async () => {
    world = await createWorld();
  });
  beforeEach(() => {
    now = Date.now();
  });
  afterAll(async () => {
    await world.close();
  });

  const counter = () => createUsageCounter({ clock: () => now });
  const secretOf = (owner: string) => ({ owner, generation: 1, epoch: 0 });

  it('keep a bounded number of sources per secret and lose no token', async () => {
    const { database } = world.core;
    const secret = secretOf(randomUUID());
    for (let batch = 0; batch < 4; batch++) {
      const usage = counter();
      for (let index = 0; index < 60; index++) {
        usage.issued(secret, { address: `10.0.${batch}.${index}`, userAgent: 'x'.repeat(5_000) }, 3_600);
      }
      for (const taken of usage.take()) await addUsage(database, taken, now);
    }
    const one = counter();
    for (let index = 0; index < 500; index++) one.issued(secret, { address: `10.1.0.${index}`, userAgent: '' }, 3_600);
    for (const taken of one.take()) await addUsage(database, taken, now);

    const sources = await findSources(database, secret.owner, [1], now);
    expect(sources).toHaveLength(100);
    expect(sources.reduce((sum, { issued24h }) => sum + issued24h, 0)).toBe(740);
    expect(Math.max(...sources.map(({ userAgent }) => userAgent.length))).toBe(200);
    expect(sources.find(({ address }) => address === '*')).toMatchObject({ issued24h: 740 - 99 });
  });

  it('include a batch once if its response was lost', async () => {
    const { database } = world.core;
    const secret = secretOf(randomUUID());
    const usage = counter();
    usage.issued(secret, { address: '10.0.0.1', userAgent: '' }, 3_600);
    const [batch] = usage.take();
    if (!batch) throw new Error('nothing was counted');
    await addUsage(database, batch, now);
    await addUsage(database, batch, now);
    expect(await findUsageHours(database, secret.owner, new Date(now - day))).toMatchObject([{ count: 1 }]);
  });

  it('of hours are summed into days after a month', async () => {
    const { database } = world.core;
    const secret = secretOf(randomUUID());
    const start = Math.floor((now - 40 * day) / day) * day;
    for (let index = 0; index < 48; index++) {
      now = start + index * hour;
      const usage = counter();
      usage.issued(secret, { address: '10.0.0.1', userAgent: '' }, 3_600);
      for (const batch of usage.take()) await addUsage(database, batch, now);
    }
    while (await rollUpUsage(database));
    expect(await findUsageHours(database, secret.owner, new Date(start - 1))).toEqual([
      { generation: 1, startsAt: new Date(start), outcome: 'issued', count: 24 },
      { generation: 1, startsAt: new Date(start + day), outcome: 'issued', count: 24 },
    ]);
  });

  it('of several processes that write the same rows at once add up', async () => {
    const { database } = world.core;
    const secrets = Array.from({ length: 20 }, () => secretOf(randomUUID()));
    const batches = Array.from({ length: 6 }, (_, process) => {
      const usage = counter();
      for (const secret of process % 2 === 0 ? secrets : secrets.toReversed()) {
        for (let index = 0; index < 5; index++)
          usage.issued(secret, { address: `10.0.0.${index}`, userAgent: '' }, 3_600);
      }
      return usage.take();
    });
    await Promise.all(batches.flat().map((batch) => addUsage(database, batch, now)));
    for (const { owner } of secrets) {
      expect(await findUsageHours(database, owner, new Date(now - day))).toMatchObject([{ count: 30 }]);
      expect(await findSources(database, owner, [1], now)).toHaveLength(5);
    }
  });
});
