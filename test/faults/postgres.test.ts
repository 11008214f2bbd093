import { setTimeout as delay } from 'node:timers/promises';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { eventually } from '../eventually.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, inactive, register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { type Answer, send } from '../oauth/http-client.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';

/** Cached clients are served so long. */
const staleSeconds = 2;
/** A database that is merely silent is noticed after this. */
const noticedWithinMs = 3_000;

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

async function timed(ask: Promise<Answer>): Promise<[answer: Answer, ms: number]> {
  const startedAt = performance.now();
  return [await ask, performance.now() - startedAt];
}

it('connections that were lost while they were idle hold up the recovery once, not one after the other', async () => {
  await api.accessToken(clients.shop);
  await Promise.all(Array.from({ length: 30 }, () => server.core.database.query('SELECT pg_sleep(0.02)')));
  proxy.lose();
  proxy.restore();
  const lostAt = performance.now();
  const isServed = async () => (await api.token(clients.shop)).status === 200;
  // Nobody but the process itself uses them now; what is cached goes stale.
  await eventually(async () => !(await isServed()), 5_000);
  await eventually(isServed, 10_000);
  expect(performance.now() - lostAt).toBeLessThan(11_000);
}, 20_000);

describe.each([
  ['down', () => proxy.cut()],
  ['silent, its connections open', () => proxy.stall()],
  ['lost with all that was sent to it', () => proxy.lose()],
])('while PostgreSQL is %s', (_, breakIt) => {
  let live: string;
  let revoked: string;
  let brokenAt: number;

  beforeAll(async () => {
    live = await api.accessToken(clients.shop);
    revoked = await api.accessToken(clients.shop);
    await api.introspect(clients.orders, live);
    await api.revoke(clients.shop, revoked);
    uncached = await register(server.core, { name: 'Uncached', kind: 'integration', scope: 'orders:read' });
    // All connections that there may be are open.
    await Promise.all(Array.from({ length: 30 }, () => server.core.database.query('SELECT pg_sleep(0.02)')));
    breakIt();
    brokenAt = performance.now();
  });

  it('clients that are known here are served as ever, and so is introspection', async () => {
    expect(await api.token(clients.shop)).toMatchObject({ status: 200 });
    expect(await api.introspect(clients.orders, live)).toMatchObject({ status: 200, json: { active: true } });
    expect(await api.introspect(clients.orders, revoked)).toMatchObject({ status: 200, text: inactive });
    expect(performance.now() - brokenAt).toBeLessThan(staleSeconds * 1_000);
  });

  it('a client that is not known here is 503 within 300 ms, never 401', async () => {
    const [answer, ms] = await timed(api.token(uncached));
    expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
    expect(answer.headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    expect(ms).toBeLessThanOrEqual(400);
  });

  it('a secret that is not known here is 503 as well: another process may have made it', async () => {
    const [answer, ms] = await timed(api.token({ ...clients.bare, secret: generateSecret('kts_') }));
    expect(answer).toMatchObject({ status: 503 });
    expect(ms).toBeLessThanOrEqual(400);
  });

  it('a revocation is 503, and not confirmed before it is durable', async () => {
    const [answer, ms] = await timed(api.revoke(clients.shop, live));
    expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
    // A commit is waited for longer than a look-up.
    expect(ms).toBeLessThanOrEqual(2_500);
  });

  it('the server says that it is alive, and that it is not ready', async () => {
    expect(await send(`${server.publicUrl}/healthz`)).toMatchObject({ status: 200 });
    await eventually(async () => (await send(`${server.publicUrl}/readyz`)).status === 503, 2_000);
    const [answer, ms] = await timed(send(`${server.publicUrl}/readyz`));
    expect(answer).toMatchObject({ status: 503, json: { stores: { database: 'unavailable', redis: 'ok' } } });
    expect(ms).toBeLessThanOrEqual(400);
  });

  it('what is known serves for KEYTURN_STALE_SECONDS; then all is 503, never 401 and never "inactive"', async () => {
    // Meanwhile the admin listener takes nobody for an impostor.
    const headers = { Authorization: `Bearer ${generateSecret('kto_')}` };
    const administered = send(`${server.adminUrl}/admin/v1/clients`, { headers });
    const limitMs = Math.max(staleSeconds * 1_000, noticedWithinMs) + 500;
    let refusedAtMs: number | undefined;
    for (;;) {
      const atMs = performance.now() - brokenAt;
      for (const answer of await Promise.all([api.token(clients.shop), api.introspect(clients.orders, live)])) {
        expect([200, 503]).toContain(answer.status);
        if (answer.status === 200) expect(answer.text).not.toBe(inactive);
        if (answer.status === 503) refusedAtMs ??= atMs;
        // Once stale, it stays so.
        if (refusedAtMs !== undefined && refusedAtMs < atMs) expect(answer.status).toBe(503);
      }
      if (atMs > (refusedAtMs ?? limitMs) + 700) break;
      await delay(50);
    }
    // What was known when it broke may have been a second old.
    expect(refusedAtMs).toBeGreaterThanOrEqual((staleSeconds - 1) * 1_000 - 100);
    expect(refusedAtMs).toBeLessThanOrEqual(limitMs);
    expect((await administered).status).toBe(503);
  });

  it('it recovers by itself within 5 s of its return, and nothing that was revoked is live', async () => {
    proxy.restore();
    const restoredAt = performance.now();
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
      }, 5_000);
    }
    expect(performance.now() - restoredAt).toBeLessThanOrEqual(5_500);
    // And stays so: no connection of before is left over that would hang. There may be ten of them; a busy machine may stumble once.
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
