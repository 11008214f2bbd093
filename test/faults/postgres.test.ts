import { setTimeout as delay } from 'node:timers/promises';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { eventually } from '../eventually.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, inactive, register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { type Answer, send } from '../oauth/http-client.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';

/** Seconds for which cached clients are served. */
const staleSeconds = 4;

let proxy: TcpProxy;
let stores: Stores;
let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let uncached: TestClient;
let api: ReturnType<typeof endpointsOf>;

beforeAll(async () => {
  const real = await createTestStores();
  proxy = await startTcpProxy(real.databaseUrl);
  stores = { ...real, databaseUrl: proxy.url };
  server = await startTestServer({
    storeDeadlineMs: 200,
    stores,
    env: { KEYTURN_FAILURES_PER_MINUTE: '0', KEYTURN_STALE_SECONDS: String(staleSeconds) },
  });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
});

afterAll(async () => {
  proxy?.restore();
  await server?.close();
  await proxy?.close();
});

it('connections that were lost while idle delay the recovery only once', async () => {
  await api.accessToken(clients.shop);
  await Promise.all(Array.from({ length: 30 }, () => server.core.database.query('SELECT pg_sleep(0.02)')));
  proxy.lose();
  proxy.restore();
  const isServed = async () => (await api.token(clients.shop)).status === 200;
  // Only the process itself uses the connections now, and its cache becomes stale.
  await eventually(async () => !(await isServed()));
  await eventually(isServed);
});

describe.each([
  ['down', () => proxy.cut()],
  ['silent, its connections open', () => proxy.stall()],
  ['lost with all that was sent to it', () => proxy.lose()],
])('while PostgreSQL is %s', (_, breakIt) => {
  let live: string;
  let revoked: string;

  beforeAll(async () => {
    live = await api.accessToken(clients.shop);
    revoked = await api.accessToken(clients.shop);
    await api.introspect(clients.orders, live);
    await api.revoke(clients.shop, revoked);
    uncached = await register(server.core, { name: 'Uncached', kind: 'integration', scope: 'orders:read' });
    // Open as many connections as the pool permits.
    await Promise.all(Array.from({ length: 30 }, () => server.core.database.query('SELECT pg_sleep(0.02)')));
    breakIt();
  });

  it('cached clients are served and their tokens are introspected', async () => {
    expect(await api.token(clients.shop)).toMatchObject({ status: 200 });
    expect(await api.introspect(clients.orders, live)).toMatchObject({ status: 200, json: { active: true } });
    expect(await api.introspect(clients.orders, revoked)).toMatchObject({ status: 200, text: inactive });
  });

  it('a client that is not cached gets 503, never 401', async () => {
    const answer = await api.token(uncached);
    expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
    expect(answer.headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
  });

  it('an unknown secret gets 503, because another process may have created it', async () => {
    const answer = await api.token({ ...clients.bare, secret: generateSecret('kts_') });
    expect(answer).toMatchObject({ status: 503 });
  });

  it('a revocation gets 503 and is not confirmed before it is durable', async () => {
    const answer = await api.revoke(clients.shop, live);
    expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
  });

  it('the server reports that it is alive and not ready', async () => {
    expect(await send(`${server.publicUrl}/healthz`)).toMatchObject({ status: 200 });
    // The checks are refreshed one by one, so another one may report the failure first.
    const stores = async () => (await send(`${server.publicUrl}/readyz`)).json['stores'] as Record<string, string>;
    await eventually(async () => (await stores())['database'] === 'unavailable');
    const answer = await send(`${server.publicUrl}/readyz`);
    expect(answer).toMatchObject({ status: 503, json: { stores: { database: 'unavailable', redis: 'ok' } } });
  });

  it('cached data is used for KEYTURN_STALE_SECONDS; afterwards every response is 503, never 401 or "inactive"', async () => {
    // Meanwhile the admin listener must not reject an operator token as wrong.
    const headers = { Authorization: `Bearer ${generateSecret('kto_')}` };
    const administered = send(`${server.adminUrl}/admin/v1/clients`, { headers });
    const ask = () => Promise.all([api.token(clients.shop), api.introspect(clients.orders, live)]);
    const expectServed = (answers: Answer[]) => {
      for (const { status, text } of answers) expect([status, text === inactive]).toEqual([200, false]);
    };
    let answers = await ask();
    while (answers.every(({ status }) => status === 200)) {
      expectServed(answers);
      await delay(20);
      answers = await ask();
    }
    // Stale data stays stale. One of the first two answers may have been sent before.
    for (let round = 0; round < 10; round++) for (const { status } of await ask()) expect(status).toBe(503);
    expect((await administered).status).toBe(503);
  });

  it('the server recovers after PostgreSQL returns, and keeps every revocation', async () => {
    proxy.restore();
    const calls = {
      cached: () => api.token(clients.shop),
      uncached: () => api.token(uncached),
      introspection: () => api.introspect(clients.orders, live),
      ready: () => send(`${server.publicUrl}/readyz`),
    };
    for (const [name, call] of Object.entries(calls)) {
      await eventually(async () => {
        const { status } = await call();
        expect([name, status === 200 || status === 503]).toEqual([name, true]);
        return status === 200;
      });
    }
    // It stays recovered: no earlier connection is left that would hang. There may be ten of them, and one failure is
    // accepted on a busy machine.
    const later = { token: 0, ready: 0 };
    for (let round = 0; round < 30; round++) {
      if ((await api.token(clients.shop)).status !== 200) later.token += 1;
      if ((await send(`${server.publicUrl}/readyz`)).status !== 200) later.ready += 1;
    }
    expect(later.token).toBeLessThanOrEqual(1);
    expect(later.ready).toBeLessThanOrEqual(1);
    expect(await api.introspect(clients.orders, revoked)).toMatchObject({ status: 200, text: inactive });
    expect(await api.revoke(clients.shop, live)).toMatchObject({ status: 200 });
    expect(await api.introspect(clients.orders, live)).toMatchObject({ status: 200, text: inactive });
    const change = await register(server.core, { name: 'After', kind: 'integration' });
    expect((await api.token(change)).status).toBe(200);
  });
});
