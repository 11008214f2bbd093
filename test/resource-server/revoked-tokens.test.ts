import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
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
import { watchStreams } from './watch-streams.ts';

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
    fetch: streams.watch((input, init) => {
      const { pathname } = new URL(String(input));
      const base = pathname === '/oauth2/events' ? eventsUrl() : server.publicUrl;
      return fetch(base.replace(/\/$/, '') + pathname, init);
    }),
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

const streams = watchStreams();

/** Puts an API under load with four callers at full speed. Returns what was accepted. */
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
  let accepted = 0;
  let refused = 0;
  const call = async () => {
    while (running) {
      const { status } = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      if (status === 200) accepted += 1;
      else refused += 1;
    }
  };
  const callers = Promise.all(Array.from({ length: 4 }, call));
  await eventually(() => accepted > 50);
  return {
    accepted: () => accepted,
    refused: () => refused,
    stop: async () => {
      running = false;
      await callers;
    },
  };
}

describe.each(formats)('while an API is under load, a disabled client (%s)', (format) => {
  test('is soon rejected, and stays rejected', async () => {
    const verifier = verifierFor(format);
    await streams.followed();
    const { client, token } = await newToken(format);
    const load = await startLoad(verifier, token);
    expect(load.refused()).toBe(0);
    await disable(client);
    // Each of the four callers may still have an earlier answer in flight.
    await eventually(() => load.refused() > 10);
    const accepted = load.accepted();
    await eventually(() => load.refused() > 100);
    await load.stop();
    expect(load.accepted()).toBe(accepted);
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'invalid_token' });
  });
});

test('a disabled client is rejected although the event stream is gone, reset or silent', async () => {
  const proxies = { cut: await startProxy(), lose: await startProxy() };
  const verifiers = Object.values(proxies).flatMap((proxy) =>
    formats.map((format) => ({ format, verifier: verifierFor(format, () => proxy.url) })),
  );
  await streams.followed();
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
  for (const { known, unknown } of cases) for (const { client } of [known, unknown]) await disable(client);
  // The other token is used for the first time before the verifier notices that the stream is lost.
  for (const { verifier, known, unknown } of cases) {
    for (const { token } of [known, unknown]) await eventually(async () => !(await isAccepted(verifier, token)));
  }
  for (const { verifier, known } of cases) {
    await expect(verifier.verify(known.token)).rejects.toMatchObject({ code: 'invalid_token' });
  }
});

test.each(formats)(
  'a cached answer is used for one second after the event stream was interrupted (%s)',
  async (format) => {
    const proxy = await startProxy();
    let connections = 0;
    const verifier = verifierFor(format, () => {
      connections += 1;
      return connections === 1 ? proxy.url : 'http://127.0.0.1:1';
    });
    await streams.followed();
    const { client, token } = await newToken(format);
    expect(await isAccepted(verifier, token)).toBe(true);
    await proxy.close();
    // The verifier has noticed the interruption before it connects again.
    await eventually(() => connections > 1);
    await disable(client);
    const realNow = Date.now;
    Date.now = () => realNow() + 1_100;
    try {
      expect(await isAccepted(verifier, token)).toBe(false);
    } finally {
      Date.now = realNow;
    }
  },
);

describe.each(formats)('a revocation while no events arrived (%s)', (format) => {
  test.each(['after others', 'as the first'])('is known as soon as events arrive again: %s', async (when) => {
    const proxy = await startProxy();
    const verifier = verifierFor(format, () => proxy.url);
    await streams.followed();
    if (when === 'after others') await disable((await newToken(format)).client);
    const { client, token } = await newToken(format);
    expect(await isAccepted(verifier, token)).toBe(true);
    proxy.cut();
    await disable(client);
    proxy.restore();
    await eventually(async () => !(await isAccepted(verifier, token)));
  });

  test('is known after the first connection', async () => {
    const proxy = await startProxy();
    proxy.cut();
    const verifier = verifierFor(format, () => proxy.url);
    const { client, token } = await newToken(format);
    expect(await isAccepted(verifier, token)).toBe(true);
    await disable(client);
    proxy.restore();
    await eventually(async () => !(await isAccepted(verifier, token)));
  });

  test.each([30_000, -30_000])("is known if the server's clock differs by %d ms", async (distance) => {
    ahead = distance;
    const verifier = verifierFor(format);
    await streams.followed();
    const { client, token } = await newToken(format);
    expect(await isAccepted(verifier, token)).toBe(true);
    await disable(client);
    await eventually(async () => !(await isAccepted(verifier, token)));
  });
});
