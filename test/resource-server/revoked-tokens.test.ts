import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import Koa from 'koa';
import { disableClient } from '../../src/clients/manage-clients.ts';
import {
  type AccessTokenVerifier,
  createAccessTokenVerifier,
  koaBearerAuth,
} from '../../src/resource-server/resource-server.ts';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, register, registerBothFormats, type TestClient } from '../oauth/fixture.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';

const resources = { opaque: 'https://opaque.example', jwt: 'https://jwt.example' };
type Format = keyof typeof resources;
const formats: Format[] = ['opaque', 'jwt'];

let server: TestServer;
let servers: Record<Format, TestClient>;
/** Difference between the server's clock and the resource server's, in milliseconds. */
let ahead = 0;
const open: (Server | AccessTokenVerifier | TcpProxy)[] = [];

beforeAll(async () => {
  server = await startTestServer({ clock: () => Date.now() + ahead });
  servers = await registerBothFormats(server.core, resources);
});

afterEach(async () => {
  ahead = 0;
  for (const each of open.splice(0)) await each.close();
});

afterAll(() => server?.close());

/** Creates a verifier that receives events from another URL than introspection answers. */
function verifierFor(format: Format, eventsUrl: () => string = () => server.publicUrl): AccessTokenVerifier {
  const { id: clientId, secret: clientSecret } = servers[format];
  const verifier = createAccessTokenVerifier({
    issuer: 'http://localhost:4000',
    resource: resources[format],
    clientId,
    clientSecret,
    fetch: (input, init) => {
      const { pathname } = new URL(String(input));
      const base = pathname === '/oauth2/events' ? eventsUrl() : server.publicUrl;
      return fetch(base.replace(/\/$/, '') + pathname, init);
    },
  });
  open.push(verifier);
  return verifier;
}

async function startProxy(): Promise<TcpProxy> {
  const proxy = await startTcpProxy(server.publicUrl);
  open.push(proxy);
  return proxy;
}

async function newToken(format: Format): Promise<{ client: TestClient; token: string }> {
  const client = await register(server.core, { name: 'Client', kind: 'integration', scope: 'orders:read' });
  // Advance the clock, because a JWT is trusted only if it is some seconds newer than the last change of its client.
  ahead += 6_000;
  return { client, token: await endpointsOf(server.publicUrl).accessToken(client, { resource: resources[format] }) };
}

async function disable({ id }: TestClient): Promise<void> {
  await server.core.change((transaction) => disableClient(transaction, server.core, actor, id));
}

function isAccepted(verifier: AccessTokenVerifier, token: string): Promise<boolean> {
  return verifier.verify(token).then(
    () => true,
    () => false,
  );
}

/** Waits until the verifier follows events. */
const followed = () => delay(300);

/** Puts an API under load with four callers at full speed. Returns the time of the last accepted request. */
async function startLoad(verifier: AccessTokenVerifier, token: string) {
  const app = new Koa();
  app.use(koaBearerAuth(verifier, { scope: 'orders:read' }));
  app.use((ctx) => {
    ctx.body = 'done';
  });
  const api = createServer(app.callback()).listen(0, '127.0.0.1');
  open.push(api);
  await once(api, 'listening');
  const url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  let running = true;
  let lastAccepted = Number.NEGATIVE_INFINITY;
  let accepted = 0;
  const call = async () => {
    while (running) {
      const { status } = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      if (status !== 200) continue;
      lastAccepted = performance.now();
      accepted += 1;
    }
  };
  const callers = Promise.all(Array.from({ length: 4 }, call));
  await eventually(() => accepted > 50, 5_000);
  return async () => {
    running = false;
    await callers;
    return lastAccepted;
  };
}

describe.each(formats)('while an API is under load, a disabled client (%s)', (format) => {
  test('is accepted for less than a second more', async () => {
    const verifier = verifierFor(format);
    await followed();
    const { client, token } = await newToken(format);
    const stop = await startLoad(verifier, token);
    await disable(client);
    const disabledAt = performance.now();
    await delay(1_500);
    expect((await stop()) - disabledAt).toBeLessThan(1_000);
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'invalid_token' });
  });
});

test('a disabled client is accepted for less than ten seconds if the event stream is gone, reset or silent', async () => {
  const proxies = { cut: await startProxy(), lose: await startProxy() };
  const verifiers = Object.values(proxies).flatMap((proxy) =>
    formats.map((format) => ({ format, verifier: verifierFor(format, () => proxy.url) })),
  );
  await followed();
  const cases = await Promise.all(
    verifiers.map(async ({ format, verifier }) => ({
      verifier,
      known: await newToken(format),
      unknown: await newToken(format),
    })),
  );
  for (const { verifier, known } of cases) expect(await isAccepted(verifier, known.token)).toBe(true);
  proxies.cut.cut();
  proxies.lose.lose();
  const goneAt = performance.now();
  for (const { known, unknown } of cases) for (const { client } of [known, unknown]) await disable(client);
  let lastAccepted = Number.NEGATIVE_INFINITY;
  while (performance.now() - goneAt < 11_000) {
    for (const { verifier, known, unknown } of cases) {
      // Use a token for the first time before the verifier notices that the stream is lost.
      const tokens = performance.now() - goneAt > 3_500 ? [known.token, unknown.token] : [known.token];
      for (const token of tokens) if (await isAccepted(verifier, token)) lastAccepted = performance.now();
    }
    await delay(20);
  }
  expect(lastAccepted - goneAt).toBeLessThan(10_000);
  for (const { verifier, known } of cases) {
    await expect(verifier.verify(known.token)).rejects.toMatchObject({ code: 'invalid_token' });
  }
}, 20_000);

describe.each(formats)('a revocation while no events arrived (%s)', (format) => {
  test.each(['after others', 'as the first'])('is known as soon as events arrive again: %s', async (when) => {
    const proxy = await startProxy();
    const verifier = verifierFor(format, () => proxy.url);
    await followed();
    if (when === 'after others') await disable((await newToken(format)).client);
    const { client, token } = await newToken(format);
    expect(await isAccepted(verifier, token)).toBe(true);
    proxy.cut();
    await disable(client);
    proxy.restore();
    await eventually(async () => !(await isAccepted(verifier, token)), 3_000);
  });

  test('is known after the first connection', async () => {
    const proxy = await startProxy();
    proxy.cut();
    const verifier = verifierFor(format, () => proxy.url);
    const { client, token } = await newToken(format);
    expect(await isAccepted(verifier, token)).toBe(true);
    await disable(client);
    proxy.restore();
    await eventually(async () => !(await isAccepted(verifier, token)), 3_000);
  });

  test.each([30_000, -30_000])("is known if the server's clock differs by %d ms", async (distance) => {
    ahead = distance;
    const verifier = verifierFor(format);
    await followed();
    const { client, token } = await newToken(format);
    expect(await isAccepted(verifier, token)).toBe(true);
    await disable(client);
    await eventually(async () => !(await isAccepted(verifier, token)), 1_000);
  });
});
