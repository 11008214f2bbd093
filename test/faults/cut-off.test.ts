import { Redis } from 'ioredis';
import { disableClient, enableClient } from '../../src/clients/manage-clients.ts';
import { eventually } from '../eventually.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, inactive, register, type TestClient } from '../oauth/fixture.ts';
import { type Answer, send } from '../oauth/http-client.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';

/** Two processes of a deployment, with a fault between one of them and the stores. */
type World = {
  stores: Stores;
  here: TestServer;
  there: TestServer;
  postgres: TcpProxy;
  redis: TcpProxy;
  api: TestClient;
  jwtApi: TestClient;
  atHere: ReturnType<typeof endpointsOf>;
  atThere: ReturnType<typeof endpointsOf>;
  close(): Promise<void>;
};

const resource = { opaque: 'https://orders.example', jwt: 'https://invoices.example' };

const open = new Set<World>();

afterAll(async () => {
  for (const world of open) await world.close();
});

/** Returns an announcement without checking its signature, which follows the payload. */
function readEntry(signed: string): { f: string; r?: unknown } {
  return JSON.parse(Buffer.from(signed.split('.')[1] ?? '', 'base64url').toString());
}

/** Returns the number of processes that have announced that they read PostgreSQL, twice so that all have seen it. */
async function announcers({ redisUrl, redisPrefix }: Stores): Promise<number> {
  const redis = new Redis(redisUrl);
  const [stream = ''] = await redis.keys(`${redisPrefix}changes:*`);
  const entries = await redis.xrange(stream, '-', '+');
  redis.disconnect();
  const said = entries.flatMap(([, [, text = '']]) => readEntry(text));
  const counts = new Map<string, number>();
  for (const { f, r } of said) if (r) counts.set(f, (counts.get(f) ?? 0) + 1);
  return [...counts.values()].filter((count) => count >= 3).length;
}

async function createWorld(env: Record<string, string> = {}): Promise<World> {
  const stores = await createTestStores();
  const postgres = await startTcpProxy(stores.databaseUrl);
  const redis = await startTcpProxy(stores.redisUrl);
  const there = await startTestServer({ stores, env, storeDeadlineMs: 200 });
  const here = await startTestServer({
    stores: { ...stores, databaseUrl: postgres.url, redisUrl: redis.url },
    env,
    storeDeadlineMs: 200,
  });
  const apiOf = (name: string, format: 'opaque' | 'jwt', information: string) =>
    register(there.core, {
      name,
      kind: 'resource_server',
      resource: resource[format],
      information: [information],
      tokenFormat: format,
    });
  const world: World = {
    stores,
    here,
    there,
    postgres,
    redis,
    api: await apiOf('Orders', 'opaque', 'orders'),
    jwtApi: await apiOf('Invoices', 'jwt', 'invoices'),
    atHere: endpointsOf(here.publicUrl),
    atThere: endpointsOf(there.publicUrl),
    close: async () => {
      for (const proxy of [postgres, redis]) proxy.restore();
      await Promise.all([here.close(), there.close()]);
      await Promise.all([postgres.close(), redis.close()]);
      open.delete(world);
    },
  };
  open.add(world);
  // They must announce themselves to each other once while both reach PostgreSQL.
  await eventually(async () => (await announcers(stores)) === 2);
  return world;
}

/** Creates a client that the process with the fault has cached, with a token of each format. */
async function createClient({ here, there, atHere, api, jwtApi }: World, name: string) {
  const client = await register(there.core, { name, kind: 'integration', scope: 'orders:read invoices:read' });
  // Read all changes first, so that what is cached from here on is not dropped because of earlier ones.
  await here.core.feed.sync();
  const opaque = await atHere.accessToken(client, { resource: resource.opaque });
  const jwt = await atHere.accessToken(client, { resource: resource.jwt });
  const cached = {
    client,
    opaque,
    jwt,
    introspect: (): Promise<Answer[]> => Promise.all([atHere.introspect(api, opaque), atHere.introspect(jwtApi, jwt)]),
    issue: (): Promise<Answer[]> =>
      Promise.all(Object.values(resource).map((each) => atHere.token(client, { resource: each }))),
  };
  // This caches the resource servers too.
  await cached.introspect();
  return cached;
}

function setEnabled({ there }: World, client: TestClient, enabled: boolean) {
  const act = enabled ? enableClient : disableClient;
  return there.core.change((transaction) => act(transaction, there.core, actor, client.id));
}

async function state({ here }: World): Promise<unknown> {
  return (await send(`${here.publicUrl}/readyz`)).json['checks'];
}

const statuses = (answers: Answer[]) => answers.map(({ status }) => status);
const isLive = ({ status, text }: Answer) => status === 200 && text !== inactive;

describe.each(['cut', 'stall', 'lose'] as const)('a process with broken connections to PostgreSQL (%s)', (fault) => {
  let world: World;

  beforeAll(async () => {
    world = await createWorld();
  });

  it('applies what another process revoked, and serves everything else from its cache', async () => {
    const [kept, disabled, revoked] = await Promise.all(
      ['Kept', 'Disabled', 'Revoked'].map((name) => createClient(world, name)),
    );
    if (!kept || !disabled || !revoked) throw new Error('no clients');
    world.postgres[fault]();
    await setEnabled(world, disabled.client, false);
    for (const token of [revoked.opaque, revoked.jwt]) await world.atThere.revoke(revoked.client, token);
    const ofEnded = async () => [...(await disabled.introspect()), ...(await revoked.introspect())];
    await eventually(async () => !(await ofEnded()).some(isLive));
    await eventually(() => world.here.core.feed.freshness() === 'announced');
    for (let round = 0; round < 5; round++) {
      expect(statuses(await kept.introspect())).toEqual([200, 200]);
      expect((await kept.introspect()).every(isLive)).toBe(true);
      expect(statuses(await kept.issue())).toEqual([200, 200]);
      for (const answer of await ofEnded()) expect(isLive(answer)).toBe(false);
      for (const answer of await disabled.issue()) expect([401, 503]).toContain(answer.status);
    }
    expect(world.here.core.feed.freshness()).toBe('announced');
    world.postgres.restore();
    await setEnabled(world, disabled.client, true);
    await eventually(async () => statuses(await disabled.issue()).every((status) => status === 200));
    // A connection that was lost without a sign may still be waited for in vain: that is 503, never active.
    await eventually(async () => {
      const answers = (await Promise.all([disabled.introspect(), revoked.introspect()])).flat();
      expect(answers.some(isLive)).toBe(false);
      return answers.every(({ text }) => text === inactive);
    });
  });
});

it('a process that reaches neither store responds 503 and reports the reason', async () => {
  const world = await createWorld();
  const { client, introspect, issue } = await createClient(world, 'Disabled');
  for (const proxy of [world.postgres, world.redis]) proxy.stall();
  await setEnabled(world, client, false);
  await eventually(() => world.here.core.feed.freshness() === 'unknown');
  expect((await introspect()).some(isLive)).toBe(false);
  expect(statuses(await issue())).toEqual([503, 503]);
  await eventually(async () => JSON.stringify(await state(world)).includes('unknown'));
  const metrics = await send(`${world.here.adminUrl}/metrics`);
  expect(metrics.text).toContain('keyturn_changes_state{state="unknown"} 1');
  await world.close();
});

it('a process that reaches neither store serves for KEYTURN_STALE_SECONDS if it is set, and reports that', async () => {
  const world = await createWorld({ KEYTURN_STALE_SECONDS: '600' });
  const { introspect, issue } = await createClient(world, 'Kept');
  for (const proxy of [world.postgres, world.redis]) proxy.stall();
  await eventually(async () => JSON.stringify(await state(world)).includes('stale'));
  // Opaque tokens always need Redis.
  expect(statuses(await introspect())[1]).toBe(200);
  expect(statuses(await issue())[1]).toBe(200);
  await world.close();
});

it('processes serve cached data by default if PostgreSQL responds to none of them', async () => {
  const stores = await createTestStores();
  const postgres = await startTcpProxy(stores.databaseUrl);
  const throughProxy = { ...stores, databaseUrl: postgres.url };
  const servers = [
    await startTestServer({ stores: throughProxy, storeDeadlineMs: 200 }),
    await startTestServer({ stores: throughProxy, storeDeadlineMs: 200 }),
  ];
  const [first] = servers as [TestServer, TestServer];
  const client = await register(first.core, { name: 'Kept', kind: 'integration' });
  const apis = servers.map(({ publicUrl }) => endpointsOf(publicUrl));
  for (const api of apis) await api.accessToken(client);
  postgres.cut();
  await eventually(() => servers.every(({ core }) => core.feed.freshness() === 'stale'));
  for (const api of apis) expect((await api.token(client)).status).toBe(200);
  postgres.restore();
  await eventually(() => servers.every(({ core }) => core.feed.freshness() === 'current'));
  for (const server of servers) await server.close();
  await postgres.close();
});

it('a process that misses announcements while PostgreSQL does not respond issues no tokens', async () => {
  const world = await createWorld({ KEYTURN_STALE_SECONDS: '60' });
  const { issue, introspect } = await createClient(world, 'Kept');
  world.postgres.cut();
  const redis = new Redis(world.stores.redisUrl);
  await redis.del(await redis.keys(`${world.stores.redisPrefix}changes:*`));
  redis.disconnect();
  await eventually(async () => statuses(await issue()).every((status) => status === 503));
  // KEYTURN_STALE_SECONDS still applies to introspection.
  expect(statuses(await introspect())).toEqual([200, 200]);
  world.postgres.restore();
  await eventually(async () => statuses(await issue()).every((status) => status === 200));
  await world.close();
});
