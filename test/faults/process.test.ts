import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../eventually.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, registerAll } from '../oauth/fixture.ts';
import { basicOf, send } from '../oauth/http-client.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import { type ChildServer, startChildServer } from './child-server.ts';

let stores: Stores;
/** Another process of the same deployment, which registers clients. */
let beside: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
const children: ChildServer[] = [];

beforeAll(async () => {
  stores = await createTestStores();
  beside = await startTestServer({ stores });
  clients = await registerAll(beside.core);
});

afterAll(async () => {
  for (const child of children) child.process.kill('SIGKILL');
  await beside?.close();
});

async function start(given: Stores, env?: Record<string, string>): Promise<ChildServer> {
  const child = await startChildServer(given, env);
  children.push(child);
  return child;
}

/** Opens a connection on which the test writes raw bytes. */
async function open(url: string): Promise<{ socket: Socket; received: () => string }> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.on('data', (data) => {
    text += data.toString('latin1');
  });
  socket.on('error', (error) => {
    text += `\n${error}`;
  });
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return { socket, received: () => text };
}

describe('SIGTERM under load', () => {
  it('exits with 0 after a response to every request on an accepted connection', async () => {
    const child = await start(stores);
    const { token } = endpointsOf(child.publicUrl);
    const failures: unknown[] = [];
    let served = 0;
    let toldToLeave = 0;

    /** Uses its connection until the server closes it, as a client behind a load balancer does. */
    const goOn = async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (;;) {
        const answer = await token(clients.shop, {}, { agent }).catch((error: unknown) => error);
        if (answer instanceof Error) {
          failures.push(answer);
          break;
        }
        const { status, headers, text } = answer as Awaited<ReturnType<typeof token>>;
        if (status === 200) served += 1;
        else failures.push(`${status} ${text}`);
        if (headers.connection === 'close') {
          toldToLeave += 1;
          break;
        }
      }
      agent.destroy();
    };

    const form = 'grant_type=client_credentials';
    const head =
      `POST /oauth2/token HTTP/1.1\r\nHost: localhost:4000\r\nAuthorization: ${basicOf(clients.shop.id, clients.shop.secret)}\r\n` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n`;
    const slow = await open(child.publicUrl);
    slow.socket.write(head + form.slice(0, 5));
    const idle = await open(child.publicUrl);

    const load = Promise.all(Array.from({ length: 30 }, goOn));
    await eventually(() => served > 300);
    const ending = child.terminate();
    await delay(700);
    // Complete a request that had begun before the signal, and send one on an idle connection.
    slow.socket.write(form.slice(5));
    idle.socket.write(head + form);
    await load;
    await eventually(() => slow.received().includes('access_token'));
    slow.socket.end();
    const ended = await ending;

    expect(failures).toEqual([]);
    expect(toldToLeave).toBe(30);
    expect(idle.received()).toMatch(/\r\nConnection: close\r\n/i);
    for (const { received } of [slow, idle]) {
      expect(received()).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(received()).toContain('"access_token":"kta_');
    }
    expect(ended).toBe(0);
  });

  it('ends although a client never completes its request and another stays idle', async () => {
    const ending = await startTestServer({ stores });
    const mute = await open(ending.publicUrl);
    mute.socket.write(
      'POST /oauth2/token HTTP/1.1\r\nHost: localhost:4000\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\n',
    );
    const idle = await open(ending.publicUrl);
    idle.socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually(() => idle.received().includes('"ok"'));
    await ending.close();
  });
});

describe('SIGHUP to a single process', () => {
  it('responds to the request in progress and exits with 0', async () => {
    const child = await start(stores);
    const { socket, received } = await open(child.publicUrl);
    const form = 'grant_type=client_credentials';
    socket.write(
      `POST /oauth2/token HTTP/1.1\r\nHost: localhost:4000\r\nAuthorization: ${basicOf(clients.shop.id, clients.shop.secret)}\r\n` +
        `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form.slice(0, 5)}`,
    );
    // The response arrives after the server has read the first part above.
    expect((await send(`${child.publicUrl}/healthz`)).status).toBe(200);
    const exit = once(child.process, 'exit');
    child.process.kill('SIGHUP');
    await eventually(() => child.lines.some((line) => line.includes('"signal":"SIGHUP"')));
    socket.write(form.slice(5));
    await eventually(() => received().includes('access_token'));
    socket.end();
    expect(await exit).toEqual([0, null]);
  });
});

describe('a process', () => {
  it('survives every fault of its stores and logs no credentials', async () => {
    const [postgres, redis] = await Promise.all([startTcpProxy(stores.databaseUrl), startTcpProxy(stores.redisUrl)]);
    const child = await start(
      { ...stores, databaseUrl: postgres.url, redisUrl: redis.url },
      { KEYTURN_LOG_LEVEL: 'trace', KEYTURN_STALE_SECONDS: '1' },
    );
    const api = endpointsOf(child.publicUrl);
    const tokens: string[] = [];
    const isServing = async () => {
      const answer = await api.token(clients.shop);
      if (answer.status === 200) tokens.push(answer.json['access_token'] as string);
      return answer.status === 200;
    };
    await eventually(isServing);
    for (const proxy of [postgres, redis]) {
      for (const fault of [proxy.cut, proxy.stall, proxy.lose]) {
        fault();
        await Promise.all([
          api.token(clients.shop),
          api.token(clients.partner),
          api.introspect(clients.orders, tokens[0] as string),
          api.revoke(clients.shop, tokens.at(-1) as string),
          send(`${child.publicUrl}/readyz`),
        ]);
        proxy.restore();
        await delay(20);
      }
    }
    await eventually(isServing);
    await eventually(async () => (await send(`${child.publicUrl}/readyz`)).status === 200);
    expect(child.process.exitCode).toBeNull();

    // Present credentials in every way, right and wrong, including places where they do not belong.
    const { shop } = clients;
    await send(`${child.publicUrl}/oauth2/token?client_secret=${shop.secret}&token=${tokens[0]}`, { method: 'POST' });
    await send(`${child.publicUrl}/oauth2/${shop.secret}`, {
      headers: { Cookie: shop.secret, 'User-Agent': shop.secret },
    });
    await api.token({ id: shop.secret, secret: shop.id });
    await api.token(shop, { scope: shop.secret, resource: tokens[0] as string, access_key: shop.secret });
    await api.token(shop, { client_secret: shop.secret });
    await api.introspect(shop, shop.secret, { token_type_hint: tokens[0] as string });

    expect(await child.terminate()).toBe(0);
    const log = child.lines.join('\n');
    expect(child.lines.length).toBeGreaterThan(20);
    expect(log).toContain(shop.id);
    for (const value of [shop.secret, clients.orders.secret, clients.partner.secret, ...tokens]) {
      expect(log.includes(value)).toBe(false);
      expect(log.includes(value.slice(4, 47))).toBe(false);
    }
    await postgres.close();
    await redis.close();
  });
});
