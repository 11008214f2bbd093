import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { createTestStores, type Stores } from '../harness.ts';
import { endpointsOf, inactive, register, type TestClient } from '../oauth/fixture.ts';
import { askWith, jwkOf, makeKey, proofEnv, registrationOf } from '../regeneration/proof.ts';
import { askPostgres, createTestRedis } from '../services.ts';
import { backUp, restore } from './restored-database.ts';

type World = { stores: Stores; api: TestClient; shop: TestClient; tokens: string[] };

let server: AdminServer | undefined;

/** Starts a server with an API that accepts JWTs, and issues three tokens. */
async function createWorld(): Promise<World> {
  const stores = await createTestStores();
  server = await startAdminServer({ stores });
  const { core, publicUrl } = server;
  const api = await register(core, {
    name: 'Orders',
    kind: 'resource_server',
    resource: 'https://orders.example',
    information: ['orders'],
    tokenFormat: 'jwt',
  });
  const shop = await register(core, { name: 'Shop', kind: 'integration', scope: 'orders:read' });
  const tokens: string[] = [];
  for (let count = 0; count < 3; count++) tokens.push(await endpointsOf(publicUrl).accessToken(shop));
  return { stores, api, shop, tokens };
}

async function stop(): Promise<void> {
  await server?.close();
  server = undefined;
}

async function restart(stores: Stores): Promise<AdminServer> {
  await stop();
  server = await startAdminServer({ stores });
  return server;
}

afterEach(stop);

/** Returns for each token whether it is active. */
async function activeTokens({ publicUrl }: AdminServer, { api, tokens }: World): Promise<boolean[]> {
  const answers = await Promise.all(tokens.map((token) => endpointsOf(publicUrl).introspect(api, token)));
  return answers.map(({ status, text }) => {
    expect(status).toBe(200);
    return text !== inactive;
  });
}

async function lossEvents({ adminFetch }: AdminServer) {
  return (await adminFetch('/audit-events?action=deployment.changes_lost')).json.data;
}

test('a process that starts on a database without the last changes repeats those that Redis still holds', async () => {
  const world = await createWorld();
  await stop();
  const backup = await backUp(world.stores);
  const { publicUrl } = await restart(world.stores);
  expect((await endpointsOf(publicUrl).revoke(world.shop, world.tokens[0] as string)).status).toBe(200);
  await stop();
  await restore(world.stores, backup);

  const restored = await restart(world.stores);
  expect(await activeTokens(restored, world)).toEqual([false, true, true]);
  expect(await lossEvents(restored)).toMatchObject([{ after: { tokens: 1, every_token: false } }]);
  // Another start finds nothing more to repair.
  const again = await restart(world.stores);
  expect(await activeTokens(again, world)).toEqual([false, true, true]);
  expect(await lossEvents(again)).toHaveLength(1);
});

test('a process ends a first registered key again if the database has lost its rotation after a leak', async () => {
  const stores = await createTestStores();
  const start = async () => {
    await stop();
    server = await startAdminServer({ stores, env: proofEnv });
    return server;
  };
  const [leaked, next] = [await makeKey(), await makeKey()];
  const ask = async ({ publicUrl }: AdminServer) =>
    (await askWith(`${publicUrl}/oauth2/token`, id, leaked, { now: Date.now() })).status;
  const first = await start();
  const api = { name: 'API', kind: 'resource_server', resource: 'https://orders.example', information: ['orders'] };
  await first.adminFetch('/clients', { method: 'POST', body: api });
  const shop = { name: 'Shop', kind: 'integration', scope: 'orders:read', ...registrationOf(leaked) };
  const id: string = (await first.adminFetch('/clients', { method: 'POST', body: shop })).json.client_id;
  expect(await ask(first)).toBe(200);
  await stop();
  const backup = await backUp(stores);
  const { adminFetch } = await start();
  const post = async (path: string, body: object) =>
    await adminFetch(`/clients/${id}${path}`, { method: 'POST', body });
  const replace = { jwks: { keys: [jwkOf(next)] } };
  const { confirmation } = (await post('/regeneration/review', { replace })).json;
  expect((await post('/regenerate', { confirmation, replace, revoke_tokens: true })).status).toBe(201);
  await stop();
  await restore(stores, backup);

  const restored = await start();
  expect(await ask(restored)).toBe(401);
  expect(await lossEvents(restored)).toMatchObject([{ after: { secrets: 1 } }]);
});

test('a process ends every token if the database has lost even the oldest change that is known', async () => {
  const world = await createWorld();
  await stop();
  const backup = await backUp(world.stores);
  // Redis is emptied, so that the oldest change that it holds was made after the backup.
  const stores = { ...world.stores, redisPrefix: createTestRedis().prefix };
  const { publicUrl } = await restart(stores);
  expect((await endpointsOf(publicUrl).revoke(world.shop, world.tokens[0] as string)).status).toBe(200);
  await stop();
  await restore(stores, backup);

  const restored = await restart(stores);
  expect(await activeTokens(restored, world)).toEqual([false, false, false]);
  expect(await lossEvents(restored)).toMatchObject([{ after: { tokens: 1, every_token: true } }]);
});

test('a process ends every token if it starts on a new timeline and nothing is known about what it lacks', async () => {
  const world = await createWorld();
  await stop();
  // A promotion changes the timeline; the recorded one is what the promoted server differs from.
  await askPostgres(world.stores.databaseUrl, `UPDATE database_check SET timeline = timeline || '0'`);
  const stores = { ...world.stores, redisPrefix: createTestRedis().prefix };
  const promoted = await restart(stores);
  expect(await activeTokens(promoted, world)).toEqual([false, false, false]);
  world.tokens = [await endpointsOf(promoted.publicUrl).accessToken(world.shop)];
  // The timeline is recorded, so that later tokens are valid after another start.
  expect(await activeTokens(await restart(stores), world)).toEqual([true]);
});

test('a process that starts on a new timeline ends no token if no change is missing', async () => {
  const world = await createWorld();
  await stop();
  await askPostgres(world.stores.databaseUrl, `UPDATE database_check SET timeline = timeline || '0'`);
  const promoted = await restart(world.stores);
  expect(await activeTokens(promoted, world)).toEqual([true, true, true]);
  expect(await lossEvents(promoted)).toEqual([]);
});

it('does not take changes of another deployment on the same Redis for lost ones', async () => {
  const world = await createWorld();
  await stop();
  const another = await createTestStores();
  const shared = { ...another, redisUrl: world.stores.redisUrl, redisPrefix: world.stores.redisPrefix };
  const second = await startAdminServer({ stores: shared });
  await register(second.core, { name: 'Elsewhere', kind: 'integration' });
  await second.close();

  expect(await activeTokens(await restart(world.stores), world)).toEqual([true, true, true]);
  const events = await server?.adminFetch('/audit-events?action=deployment.changes_lost');
  expect(events?.json.data).toEqual([]);
});
