import { Redis } from 'ioredis';
import pg from 'pg';
import { Counter, Registry } from 'prom-client';
import { disableClient } from '../src/clients/manage-clients.ts';
import { canSendRaw, streamOf } from '../src/internals/ioredis.ts';
import { canReadPlainly, canWritePlainly } from '../src/internals/node-http.ts';
import { destroyConnection, serverProcessId } from '../src/internals/pg.ts';
import { aggregate, collectFrom } from '../src/internals/prom-client.ts';
import { eventually } from './eventually.ts';
import { startChildServer } from './faults/child-server.ts';
import { createTestStores, startTestServer } from './harness.ts';
import { actor, endpointsOf, inactive, registerAll } from './oauth/fixture.ts';
import { createEmptyTestDatabase, createTestRedis } from './services.ts';

// Each test fails if an upgrade of a dependency moves a private part that src/internals/ uses.

test('node:http has the private members that read bodies without streams: _consuming, _readableState.endEmitted', () => {
  expect(canReadPlainly).toBe(true);
});

test('node:http has the private members that write answers without streams: _header, _keepAliveTimeout, finished', () => {
  expect(canWritePlainly).toBe(true);
});

test('ioredis has the members of commands that encoded commands stand for', () => {
  expect(canSendRaw).toBe(true);
});

test('ioredis keeps the socket of its connection in the member stream', async () => {
  const redis = new Redis(createTestRedis().url);
  await redis.ping();
  expect(typeof streamOf(redis)?.cork).toBe('function');
  redis.disconnect();
});

test('pg keeps the process ID of its server in processID, and its socket in connection.stream', async () => {
  const client = new pg.Client(await createEmptyTestDatabase());
  client.on('error', () => undefined);
  await client.connect();
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid');
  expect(serverProcessId(client)).toBe(rows[0].pid);
  expect(destroyConnection(client)).toBe(true);
});

test('prom-client gives the values of its metrics, and adds those of several processes up', async () => {
  const registry = new Registry();
  new Counter({ name: 'seen', help: 'seen', registers: [registry] }).inc(2);
  const collected = await collectFrom(registry);
  const [sum] = await collectFrom(aggregate([collected, collected]));
  expect(sum).toMatchObject({ name: 'seen', values: [{ value: 4 }] });
});

test('a server serves as before if every private member was moved, except those of prom-client', async () => {
  const stores = await createTestStores();
  const beside = await startTestServer({ stores });
  const { orders, shop } = await registerAll(beside.core);
  const child = await startChildServer(stores, { KEYTURN_LOG_LEVEL: 'info' }, ['./test/move-internals.ts']);
  try {
    expect(child.lines).toContain('moved the members of node-http.ts, ioredis.ts and pg.ts');
    const api = endpointsOf(child.publicUrl);
    for (let round = 0; round < 20; round++) {
      const token = await api.accessToken(shop);
      expect((await api.introspect(orders, token)).json).toMatchObject({ active: true, client_id: shop.id });
      expect((await api.revoke(shop, token)).status).toBe(200);
      expect((await api.introspect(orders, token)).text).toBe(inactive);
    }
    expect((await api.token({ ...shop, secret: orders.secret })).status).toBe(401);
    await beside.core.change((transaction) => disableClient(transaction, beside.core, actor, shop.id));
    await eventually(async () => (await api.token(shop)).status === 401);
    expect(child.lines.filter((line) => line.includes('"path":"/oauth2/token","status":200'))).not.toHaveLength(0);
  } finally {
    expect(await child.terminate()).toBe(0);
    await beside.close();
  }
});
