import { readConfig } from '../../src/config.ts';
import { openCore } from '../../src/core.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { createLog } from '../../src/observability/log.ts';
import { startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, inactive, register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { type Answer, send } from '../oauth/http-client.ts';
import { askPostgres } from '../services.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';

let proxy: TcpProxy;
let stores: Stores;
let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let signed: { api: TestClient; integration: TestClient };
let api: ReturnType<typeof endpointsOf>;

beforeAll(async () => {
  const real = await createTestStores();
  proxy = await startTcpProxy(real.redisUrl);
  stores = { ...real, redisUrl: proxy.url };
  server = await startTestServer({ stores, storeDeadlineMs: 200, env: { KEYTURN_FAILURES_PER_MINUTE: '0' } });
  const { core } = server;
  clients = await registerAll(core);
  const jwtApi = await register(core, {
    name: 'Signed API',
    kind: 'resource_server',
    resource: 'https://signed.example',
    information: ['signed'],
    tokenFormat: 'jwt',
  });
  const integration = await register(core, { name: 'Signed', kind: 'integration', scope: 'signed:read' });
  signed = { api: jwtApi, integration };
  api = endpointsOf(server.publicUrl);
});

afterAll(async () => {
  proxy?.restore();
  await server?.close();
  await proxy?.close();
});

/** Sends `atOnce` concurrent requests `times` times. Returns the responses. */
async function pester(ask: () => Promise<Answer>, { times, atOnce }: { times: number; atOnce: number }) {
  const answers: Answer[] = [];
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (let time = 0; time < times; time++) {
        answers.push(await ask());
      }
    }),
  );
  return answers;
}

const unavailable = {
  status: 503,
  json: {
    error: 'temporarily_unavailable',
    error_description: 'Service unavailable: Redis cannot be reached. Try again shortly.',
  },
};

describe.each([
  ['down', () => proxy.cut()],
  ['stopped, its connections open', () => proxy.stall()],
  ['lost with all that was sent to it', () => proxy.lose()],
])('while Redis is %s', (_, breakIt) => {
  let live: string;
  let own: string;
  let foreign: string;
  let revokedBefore: string;
  let jwt: string;

  beforeAll(async () => {
    live = await api.accessToken(clients.shop);
    own = await api.accessToken(clients.shop);
    foreign = await api.accessToken(clients.shop);
    revokedBefore = await api.accessToken(clients.shop);
    jwt = await api.accessToken(signed.integration);
    await api.revoke(clients.shop, revokedBefore);
    breakIt();
  });

  it.each<[string, () => Promise<Answer>]>([
    ['a token', () => api.token(clients.shop)],
    ['introspection', () => api.introspect(clients.orders, live)],
  ])('%s gets 503 with Retry-After, never "inactive"', async (__, ask) => {
    for (const answer of await pester(ask, { times: 3, atOnce: 10 })) {
      expect(answer).toMatchObject(unavailable);
      expect(answer.headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' });
    }
  });

  it('requests that need no store get their usual response', async () => {
    expect(await api.introspect(clients.orders, 'x')).toMatchObject({ status: 200, text: inactive });
    expect(await api.introspect(clients.shop, live)).toMatchObject({ status: 200, text: inactive });
    expect(await api.token({ ...clients.shop, secret: 'x' })).toMatchObject({ status: 401 });
    expect(await api.token(clients.shop, { scope: 'unknown' })).toMatchObject({ status: 400 });
  });

  it('signed tokens are issued and introspected, because they need no store', async () => {
    const fresh = await api.token(signed.integration);
    expect(fresh.status).toBe(200);
    for (const token of [jwt, fresh.json['access_token'] as string]) {
      expect(await api.introspect(signed.api, token)).toMatchObject({ status: 200, json: { active: true } });
    }
  });

  it('a client can revoke its own token, and cannot revoke a token of another client', async () => {
    expect(await api.revoke(clients.shop, own)).toMatchObject({ status: 200 });
    await api.revoke(clients.partner, foreign);
  });

  it('a bounded number of revocations per client is stored, and more are rejected', async () => {
    const { core } = server;
    const { shop, partner } = clients;
    await core.database.query(
      `INSERT INTO unseen_revocations (client, jti, expires_at)
       SELECT client, 'made-up-' || n, now() + interval '1 hour'
       FROM generate_series(1, 1000) n, client_ids WHERE client_id = $1`,
      [shop.id],
    );
    expect(await api.revoke(shop, generateSecret('kta_'))).toMatchObject(unavailable);
    expect(await api.revoke(shop, own)).toMatchObject({ status: 200 });
    expect(await api.revoke(partner, generateSecret('kta_'))).toMatchObject({ status: 200 });
    await core.database.query('DELETE FROM unseen_revocations');
  });

  it('the server reports that it is alive and not ready', async () => {
    expect(await send(`${server.publicUrl}/healthz`)).toMatchObject({ status: 200 });
    await eventually(async () => (await send(`${server.publicUrl}/readyz`)).status === 503);
    for (const answer of await pester(() => send(`${server.publicUrl}/readyz`), { times: 1, atOnce: 3 })) {
      expect(answer).toMatchObject({
        status: 503,
        json: { status: 'not_ready', stores: { database: 'ok', redis: 'unavailable' } },
      });
    }
  });

  it('every response stays 503 during a longer outage', async () => {
    for (let round = 0; round < 5; round++) {
      expect(await api.introspect(clients.orders, live)).toMatchObject({ status: 503 });
      expect(await api.token(clients.shop)).toMatchObject({ status: 503 });
    }
  });

  it('the server recovers after Redis returns, and keeps every revocation', async () => {
    proxy.restore();
    await eventually(async () => {
      const answer = await api.introspect(clients.orders, live);
      expect(answer.text).not.toBe(inactive);
      return answer.status === 200;
    });
    await eventually(async () => (await api.token(clients.shop)).status === 200);
    for (const token of [own, revokedBefore]) {
      expect(await api.introspect(clients.orders, token)).toMatchObject({ status: 200, text: inactive });
    }
    expect((await api.introspect(clients.orders, foreign)).json).toMatchObject({ active: true });
    await eventually(async () => (await send(`${server.publicUrl}/readyz`)).status === 200);
  });
});

it('reports that it is not ready from the first request that a closed Redis connection fails', async () => {
  const isReady = async () => (await send(`${server.publicUrl}/readyz`)).status === 200;
  await eventually(isReady);
  proxy.cut();
  try {
    await eventually(async () => (await api.token(clients.shop)).status === 503);
    expect(await send(`${server.publicUrl}/readyz`)).toMatchObject({
      status: 503,
      json: { status: 'not_ready', stores: { redis: 'unavailable' } },
    });
  } finally {
    proxy.restore();
  }
  await eventually(isReady);
  expect(await api.token(clients.shop)).toMatchObject({ status: 200 });
});

test('a signed token that is issued while Redis is stopped, after its client was disabled and enabled, stays active in every process', async () => {
  const other = await startAdminServer({ stores });
  const processes = [api, endpointsOf(other.publicUrl)] as const;
  const { integration } = signed;
  const introspectAll = async (token: string) =>
    await Promise.all(processes.map(async (each) => (await each.introspect(signed.api, token)).json['active']));
  const act = async (action: string) => {
    const { status } = await other.adminFetch(`/clients/${integration.id}/${action}`, { method: 'POST', body: {} });
    expect([action, status]).toEqual([action, 200]);
  };
  const tokens: string[] = [];
  try {
    await askPostgres(stores.databaseUrl, 'ALTER TABLE changes DISABLE TRIGGER changes_announce');
    for (const each of processes) await introspectAll(await each.accessToken(integration));
    proxy.stall();
    for (let round = 0; round < 3; round++) {
      for (const action of ['disable', 'enable']) await act(action);
      const issued = await Promise.all(processes.map(async (each) => await each.accessToken(integration)));
      for (const token of issued) expect(await introspectAll(token)).toEqual([true, true]);
      // The tokens of the next round end those of this one.
      tokens.splice(0, tokens.length, ...issued);
    }
    proxy.restore();
    for (const { publicUrl } of [server, other]) {
      await eventually(async () => (await send(`${publicUrl}/readyz`)).status === 200);
    }
    for (const token of tokens) expect(await introspectAll(token)).toEqual([true, true]);
  } finally {
    proxy.restore();
    await other.close();
  }
});

describe('a start fails and reports the reason', () => {
  const configFor = (redisUrl: string) =>
    readConfig({
      DATABASE_URL: stores.databaseUrl,
      REDIS_URL: redisUrl,
      KEYTURN_ROOT_KEY: stores.rootKey,
    });

  it('if Redis may evict live tokens, because an evicted token would be reported as inactive', async () => {
    const evicting = await startTcpProxy(stores.redisUrl, (data) =>
      // The replacement has the same length, because the protocol sends the length first.
      Buffer.from(
        data.toString('latin1').replace('maxmemory_policy:noeviction\r', 'maxmemory_policy:allkeys-lru'),
        'latin1',
      ),
    );
    await expect(openCore(configFor(evicting.url), createLog('silent'))).rejects.toThrow(
      /maxmemory-policy allkeys-lru .*noeviction/,
    );
    await evicting.close();
  });

  it('if Redis cannot be reached', async () => {
    const gone = await startTcpProxy(stores.redisUrl);
    await gone.close();
    await expect(openCore(configFor(gone.url), createLog('silent'))).rejects.toMatchObject({
      code: 'temporarily_unavailable',
    });
  });
});

test('a start waits for a Redis that returns the announcements after more than a second', async () => {
  let isAsked = false;
  const late = await startTcpProxy(stores.redisUrl, undefined, (data) => {
    if (isAsked || !/xrange/i.test(data.toString('latin1'))) return;
    isAsked = true;
    late.stall();
    // Longer than the time limit of one command in storage/redis.ts, whose timer is that of ioredis.
    setTimeout(late.restore, 1_500);
  });
  try {
    const other = await startTestServer({ stores: { ...stores, redisUrl: late.url } });
    expect(isAsked).toBe(true);
    await other.close();
  } finally {
    late.restore();
    await late.close();
  }
});
