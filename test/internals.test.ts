import Router from '@koa/router';
import { Redis } from 'ioredis';
import Koa from 'koa';
import pg from 'pg';
import { pino } from 'pino';
import { Counter, Registry } from 'prom-client';
import { canSendRaw, streamOf } from '../src/internals/ioredis.ts';
import { matchedRouteOf } from '../src/internals/koa-router.ts';
import { canReadPlainly, canWritePlainly } from '../src/internals/node-http.ts';
import { destroyConnection, serverProcessId } from '../src/internals/pg.ts';
import { destinationOf } from '../src/internals/pino.ts';
import { aggregate, collectFrom } from '../src/internals/prom-client.ts';
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

test('pino keeps the destination of a logger under its symbol streamSym', () => {
  const destination = { write: () => undefined };
  expect(destinationOf(pino({}, destination))).toBe(destination);
});

test('prom-client gives the values of its metrics, and adds those of several processes up', async () => {
  const registry = new Registry();
  new Counter({ name: 'seen', help: 'seen', registers: [registry] }).inc(2);
  const collected = await collectFrom(registry);
  const [sum] = await collectFrom(aggregate([collected, collected]));
  expect(sum).toMatchObject({ name: 'seen', values: [{ value: 4 }] });
});

test('@koa/router names the route of a request in _matchedRoute', async () => {
  const router = new Router();
  let route = '';
  router.get('/things/:id', (ctx) => {
    route = matchedRouteOf(ctx);
    ctx.body = '';
  });
  const server = new Koa().use(router.routes()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  await fetch(`http://127.0.0.1:${(server.address() as { port: number }).port}/things/1`);
  server.close();
  expect(route).toBe('/things/:id');
});
