import { Agent } from 'node:http';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { generateClientId, generateSecret } from '../../src/credentials/credential-format.ts';
import { eventuallyIs } from '../eventually.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import { endpointsOf, register, registerAll, watchQueries } from './fixture.ts';
import { type Answer, basicOf, post, type Sent } from './http-client.ts';

type World = {
  server: TestServer;
  clients: Awaited<ReturnType<typeof registerAll>>;
  api: ReturnType<typeof endpointsOf>;
};

async function startWorld(env: Record<string, string> = {}): Promise<World> {
  const server = await startTestServer({ env });
  return { server, clients: await registerAll(server.core), api: endpointsOf(server.publicUrl) };
}

/** Sends token requests one after another and counts the answers by status. */
async function knock(
  { api }: World,
  count: number,
  attempt: (index: number) => { id: string; secret: string; options?: Omit<Sent, 'body' | 'method'> },
): Promise<{ statuses: Record<number, number>; last: Answer }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const statuses: Record<number, number> = {};
  let last: Answer | undefined;
  for (let sent = 0; sent < count; sent += 8) {
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) => {
        const { id, secret, options } = attempt(sent + index);
        const headers = { Authorization: basicOf(id, secret), ...options?.headers };
        return post(api.tokenUrl, { grant_type: 'client_credentials' }, { agent, ...options, headers });
      }),
    );
    for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1;
    last = answers.at(-1);
  }
  agent.destroy();
  return { statuses, last: last as Answer };
}

describe('1,000 wrong secrets from one address', () => {
  let world: World;

  beforeAll(async () => {
    world = await startWorld();
  });

  afterAll(() => world?.server.close());

  it('get 429 with Retry-After and cost the database next to nothing', async () => {
    const queries = watchQueries(world.server.core);
    const { shop } = world.clients;
    const { statuses, last } = await knock(world, 1_000, () => ({ id: shop.id, secret: generateSecret('kts_') }));
    queries.stop();
    expect(statuses).toEqual({ 401: 100, 429: 900 });
    expect(last).toMatchObject({
      status: 429,
      json: {
        error: 'temporarily_unavailable',
        error_description: 'Too many failed attempts from this address. Try again later.',
      },
    });
    expect(Number(last.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(last.headers['retry-after'])).toBeLessThanOrEqual(60);
    expect(last.headers['cache-control']).toBe('no-store');
    expect(queries.clientLookups().length).toBeLessThan(20);
  });

  it('do not affect valid credentials, from the same address or another', async () => {
    const { api, clients } = world;
    for (const from of ['127.0.0.1', '127.0.0.2']) {
      const issued = await api.token(clients.shop, {}, { from });
      expect(issued).toMatchObject({ status: 200 });
      const token = String(issued.json['access_token']);
      expect(await api.introspect(clients.orders, token)).toMatchObject({ status: 200, json: { active: true } });
      expect(await api.revoke(clients.shop, token)).toMatchObject({ status: 200 });
    }
  });

  it('do not affect a client that is not cached', async () => {
    const fresh = await register(world.server.core, { name: 'Fresh', kind: 'integration' });
    expect(await world.api.token({ ...fresh, secret: generateSecret('kts_') })).toMatchObject({ status: 429 });
    expect(await world.api.token(fresh)).toMatchObject({ status: 200 });
  });

  it('are limited at every endpoint that takes a secret', async () => {
    const { api, clients } = world;
    const wrong = { secret: generateSecret('kts_') };
    expect(await api.introspect({ ...clients.orders, ...wrong }, 'x')).toMatchObject({ status: 429 });
    expect(await api.revoke({ ...clients.shop, ...wrong }, 'x')).toMatchObject({ status: 429 });
  });

  it('count for that address if an untrusted X-Forwarded-For names another', async () => {
    const { api, clients } = world;
    const headers = { 'X-Forwarded-For': '203.0.113.9', Forwarded: 'for=203.0.113.9', 'X-Real-IP': '203.0.113.9' };
    const wrong = { ...clients.shop, secret: generateSecret('kts_') };
    expect(await api.token(wrong, {}, { headers: { ...headers, ...auth(wrong) } })).toMatchObject({ status: 429 });
    // A forged header does not count a failure for another address either.
    const victim = { 'X-Forwarded-For': '127.0.0.3' };
    await knock(world, 200, () => ({
      id: clients.shop.id,
      secret: generateSecret('kts_'),
      options: { headers: victim, from: '127.0.0.4' },
    }));
    expect(await api.token(wrong, {}, { from: '127.0.0.3' })).toMatchObject({ status: 401 });
  });

  it('do not affect health and metadata', async () => {
    for (const path of ['/healthz', '/readyz', '/.well-known/oauth-authorization-server', '/.well-known/jwks.json']) {
      const answer = await fetch(world.server.publicUrl + path);
      expect(answer.status).toBe(200);
    }
  });
});

it('limits one secret that is tried with 2,000 Client IDs', async () => {
  const world = await startWorld();
  const secret = generateSecret('kts_');
  const queries = watchQueries(world.server.core);
  const { statuses } = await knock(world, 2_000, () => ({ id: generateClientId(), secret }));
  expect(statuses[401]).toBe(100);
  // Each client is looked up once, because the secret might be valid; concurrent look-ups share a statement.
  expect(queries.clientLookups().length).toBeLessThanOrEqual(2_000);
  queries.stop();
  expect(await world.api.token(world.clients.shop)).toMatchObject({ status: 200 });
  await world.server.close();
});

it('does not count successful requests as failures', async () => {
  const world = await startWorld({ KEYTURN_FAILURES_PER_MINUTE: '5' });
  const { shop } = world.clients;
  expect((await knock(world, 80, () => shop)).statuses).toEqual({ 200: 80 });
  // Requests that are rejected for their scope are not counted either.
  for (let count = 0; count < 10; count++) await world.api.token(shop, { scope: 'unknown' });
  expect(await world.api.token(shop)).toMatchObject({ status: 200 });
  await world.server.close();
});

describe('the failure limit behind a trusted proxy', () => {
  let world: World;
  const from = (forwarded: string) => ({ headers: { 'X-Forwarded-For': forwarded } });

  beforeAll(async () => {
    world = await startWorld({
      KEYTURN_FAILURES_PER_MINUTE: '10',
      KEYTURN_TRUST_PROXY: '127.0.0.1,10.0.0.0/8,fd00::/8',
    });
  });

  afterAll(() => world?.server.close());

  /** Returns the status for another wrong secret. */
  const statusOf = async (headers: Record<string, string>) => {
    const wrong = { ...world.clients.shop, secret: generateSecret('kts_') };
    return (await world.api.token(wrong, {}, { headers: { ...headers, ...auth(wrong) } })).status;
  };
  const statusFor = (forwarded: string) => statusOf({ 'X-Forwarded-For': forwarded });
  /**
   * Fails from one notation of an address until it is limited, so that another failure shows whether another notation
   * is the same address.
   */
  const exhaust = (headers: Record<string, string>) =>
    eventuallyIs(
      () => statusOf(headers),
      (status) => status === 429,
    );
  const fail = (forwarded: string) => exhaust({ 'X-Forwarded-For': forwarded });

  it('counts each forwarded address separately', async () => {
    await fail('203.0.113.1');
    expect(await statusFor('203.0.113.1')).toBe(429);
    expect(await statusFor('203.0.113.2')).toBe(401);
  });

  it('uses the last address that is not a proxy, because the caller can forge those before it', async () => {
    await fail('198.51.100.7, 203.0.113.3, 10.1.2.3');
    expect(await statusFor('203.0.113.3')).toBe(429);
    expect(await statusFor('198.51.100.7')).toBe(401);
    expect(await statusFor('1.2.3.4, 203.0.113.3')).toBe(429);
  });

  it.each([
    ['an IPv4 address with a port', { 'X-Forwarded-For': '203.0.113.8:40001' }, '203.0.113.8'],
    ['an IPv6 address in brackets', { 'X-Forwarded-For': '[2001:db8:5::1]' }, '2001:db8:5::1'],
    ['an IPv6 address in brackets with a port', { 'X-Forwarded-For': '[2001:db8:6::1]:1' }, '2001:db8:6::1'],
    ['an address after a proxy with a port', { 'X-Forwarded-For': '203.0.113.9:1, 10.0.0.1:2' }, '203.0.113.9'],
    ['Forwarded (RFC 7239)', { Forwarded: 'for=192.0.2.43;proto=https;by=10.0.0.1' }, '192.0.2.43'],
    ['Forwarded with a port', { Forwarded: 'For="[2001:db8:cafe::17]:4711"' }, '2001:db8:cafe::17'],
    ['Forwarded with an obfuscated port', { Forwarded: 'for="192.0.2.44:_p1"' }, '192.0.2.44'],
    ['Forwarded after a proxy', { Forwarded: 'for=192.0.2.45, for=10.0.0.1' }, '192.0.2.45'],
    ['Forwarded after an unclosed quote', { Forwarded: 'for="x, for=192.0.2.46' }, '192.0.2.46'],
    ['X-Forwarded-For beside Forwarded', { 'X-Forwarded-For': '192.0.2.47', Forwarded: 'for=1.2.3.4' }, '192.0.2.47'],
  ])('reads %s', async (_name, headers, address) => {
    await exhaust(headers as Record<string, string>);
    expect(await statusFor(address)).toBe(429);
    expect(await statusFor('203.0.113.4')).toBe(401);
  });

  it.each([
    'unknown',
    '_hidden',
    '<script>',
    '203.0.113.8:99999',
    '203.0.113.8:',
    '203.0.113',
    '[203.0.113.8]',
    '[2001:db8::1',
    '203.0.113.10, unknown',
  ])('counts no failures for an unreadable address: %s', async (forwarded) => {
    const { statuses } = await knock(world, 32, () => ({
      ...world.clients.shop,
      secret: generateSecret('kts_'),
      options: from(forwarded),
    }));
    expect(statuses).toEqual({ 401: 32 });
    // The failures do not count for the proxy itself either.
    expect(await statusOf({})).toBe(401);
  });

  it('records an unreadable address as such, and not as the address of the proxy', async () => {
    const { core } = world.server;
    const client = await register(core, { name: 'Behind junk', kind: 'integration' });
    for (const forwarded of ['unknown', '_hidden', '203.0.113.8:99999']) {
      const headers = { 'X-Forwarded-For': forwarded, ...auth(client) };
      expect((await world.api.token(client, {}, { headers })).status).toBe(200);
    }
    await core.usage.flush();
    const sources = await core.database.query<{ address: string }>(
      'SELECT DISTINCT address FROM usage_sources JOIN client_ids ON client_ids.client = owner WHERE client_ids.client_id = $1',
      [client.id],
    );
    expect(sources).toEqual([{ address: 'unreadable' }]);
  });

  it('counts all 2^64 addresses of an IPv6 network together, in any notation', async () => {
    await fail('2001:db8:1:2::1');
    expect(await statusFor('2001:db8:1:2:ffff:ffff:ffff:ffff')).toBe(429);
    expect(await statusFor('2001:DB8:1:2::99')).toBe(429);
    expect(await statusFor('2001:0db8:0001:0002::5')).toBe(429);
    expect(await statusFor('2001:db8:1:3::1')).toBe(401);
  });

  it('treats an IPv4 address in IPv6 notation as the same address', async () => {
    await fail('203.0.113.77');
    expect(await statusFor('::ffff:203.0.113.77')).toBe(429);
    expect(await statusFor('::FFFF:203.0.113.77')).toBe(429);
  });
});

it('logs a forwarded address of an untrusted peer once a minute and counts every one', async () => {
  const lines: { msg: string; peer?: string }[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const server = await startTestServer({ log, env: { KEYTURN_LOG_LEVEL: 'warn' } });
  for (const headers of [{ 'X-Forwarded-For': '203.0.113.9' }, { Forwarded: 'for=203.0.113.9' }]) {
    for (let count = 0; count < 3; count++) await fetch(`${server.publicUrl}/healthz`, { headers });
  }
  const warnings = lines.filter(({ msg }) => msg.includes('KEYTURN_TRUST_PROXY'));
  expect(warnings).toEqual([expect.objectContaining({ peer: '127.0.0.1' })]);
  const metrics = await (await fetch(`${server.adminUrl}/metrics`)).text();
  expect(metrics).toContain('keyturn_proxy_headers_ignored_total{problem="untrusted_address"} 6');
  await server.close();
});

const auth = ({ id, secret }: { id: string; secret: string }) => ({ Authorization: basicOf(id, secret) });

describe('two servers of one deployment', () => {
  let here: World;
  let there: World;
  const env = { KEYTURN_FAILURES_PER_MINUTE: '10' };

  beforeAll(async () => {
    here = await startWorld(env);
    const server = await startTestServer({ env, stores: here.server.stores });
    there = { server, clients: here.clients, api: endpointsOf(server.publicUrl) };
  });

  afterAll(async () => {
    await there?.server.close();
    await here?.server.close();
  });

  const fail = (world: World, count: number, from = '127.0.0.1') =>
    knock(world, count, () => ({ ...world.clients.shop, secret: generateSecret('kts_'), options: { from } }));

  it('count the failures of an address together', async () => {
    expect((await fail(here, 8)).statuses).toEqual({ 401: 8 });
    await fail(there, 8);
    await eventuallyIs(
      () => there.api.token({ ...there.clients.shop, secret: generateSecret('kts_') }),
      ({ status }) => status === 429,
    );
    // The first process learns of the shared count at its next failure.
    await fail(here, 8);
    await eventuallyIs(
      () => here.api.token({ ...here.clients.shop, secret: generateSecret('kts_') }),
      ({ status }) => status === 429,
    );
    expect((await here.api.token(here.clients.shop, {}, { from: '127.0.0.5' })).status).toBe(200);
  });

  it('keep the count in Redis for a minute, by address and without the tried credentials', async () => {
    const redis = new Redis(here.server.stores.redisUrl);
    const keys = await redis.keys(`${here.server.stores.redisPrefix}limit:*`);
    const seconds = await Promise.all(keys.map((key) => redis.ttl(key)));
    redis.disconnect();
    expect(keys.join()).toMatch(/limit:failures:127\.0\.0\.1$/);
    expect(Math.max(...seconds)).toBeLessThanOrEqual(60);
    expect(Math.min(...seconds)).toBeGreaterThan(0);
  });
});

it.each(['cut', 'stall'] as const)(
  'lets each process count failures alone and exactly while Redis is unavailable (%s)',
  async (fault) => {
    const stores = await createTestStores();
    const proxy = await startTcpProxy(stores.redisUrl);
    const server = await startTestServer({
      env: { KEYTURN_FAILURES_PER_MINUTE: '10' },
      stores: { ...stores, redisUrl: proxy.url },
    });
    const world = { server, clients: await registerAll(server.core), api: endpointsOf(server.publicUrl) };
    proxy[fault]();
    const wrong = { ...world.clients.shop, secret: generateSecret('kts_') };
    const { statuses } = await knock(world, 24, () => wrong);
    expect(statuses).toEqual({ 401: 10, 429: 14 });
    proxy.restore();
    await server.close();
    await proxy.close();
  },
);

describe.each([{ KEYTURN_FAST_PATH: 'on' }, { KEYTURN_FAST_PATH: 'off' }])('KEYTURN_TOKENS_PER_MINUTE, %o', (path) => {
  it('limits the tokens of one client on all servers with 429 and Retry-After, and of no other client', async () => {
    const env = { ...path, KEYTURN_TOKENS_PER_MINUTE: '5' };
    const here = await startWorld(env);
    const other = await startTestServer({ env, stores: here.server.stores });
    const there = endpointsOf(other.publicUrl);
    const { shop, partner, orders } = here.clients;
    // Rejected requests are not counted, so that mistakes do not use up the limit.
    for (let count = 0; count < 6; count++) await here.api.token(shop, { scope: 'unknown' });
    for (let count = 0; count < 3; count++) expect((await here.api.token(shop)).status).toBe(200);
    for (let count = 0; count < 2; count++) expect((await there.token(shop)).status).toBe(200);
    const refused = await eventuallyIs(
      () => there.token(shop),
      ({ status }) => status === 429,
    );
    expect(refused.json).toEqual({
      error: 'temporarily_unavailable',
      error_description: 'This client has requested too many tokens. Try again later.',
    });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(Number(refused.headers['retry-after'])).toBeLessThanOrEqual(60);
    await eventuallyIs(
      () => here.api.token(shop),
      ({ status }) => status === 429,
    );
    expect((await here.api.token(partner)).status).toBe(200);
    // Requests with wrong secrets do not use up the client's limit.
    for (let count = 0; count < 8; count++) await here.api.token({ ...partner, secret: generateSecret('kts_') });
    const token = await here.api.accessToken(partner);
    for (let count = 0; count < 8; count++) {
      expect((await here.api.introspect(orders, token)).json).toMatchObject({ active: true });
    }
    await other.close();
    await here.server.close();
  });
});
