import { once } from 'node:events';
import { Agent, type ClientRequest, get, type IncomingMessage } from 'node:http';
import { disableClient } from '../../src/clients/manage-clients.ts';
import { eventually } from '../eventually.ts';
import { type ChildServer, startChildServer } from '../faults/child-server.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { startTcpProxy } from '../tcp-proxy.ts';
import { actor, endpointsOf, register, registerAll, type TestClient } from './fixture.ts';
import { basicOf, send } from './http-client.ts';

let server: TestServer;
let api: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
const open: ClientRequest[] = [];

beforeAll(async () => {
  server = await startTestServer();
  api = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
});

afterEach(() => {
  for (const request of open.splice(0)) request.destroy();
});

afterAll(() => server?.close());

type Listener = {
  response: IncomingMessage;
  text(): string;
  /** Returns the position up to which events were received. */
  lastEventId(): string | undefined;
  ended(): boolean;
};

const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY });

async function listen(client = clients.orders, { url = server.publicUrl, lastEventId = '' } = {}): Promise<Listener> {
  const headers = {
    Authorization: basicOf(client.id, client.secret),
    ...(lastEventId ? { 'Last-Event-ID': lastEventId } : {}),
  };
  const request = get(`${url}/oauth2/events`, { headers, agent });
  open.push(request);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(response).toMatchObject({
    statusCode: 200,
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
  });
  let text = '';
  let ended = false;
  request.on('error', () => undefined);
  response.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  response.on('error', () => undefined);
  response.on('close', () => {
    ended = true;
  });
  const listener = {
    response,
    text: () => text,
    lastEventId: () => [...text.matchAll(/^id: (\S+)$/gm)].at(-1)?.[1],
    ended: () => ended,
  };
  await eventually(() => listener.lastEventId() !== undefined);
  return listener;
}

async function newClient(name = 'Changing'): Promise<TestClient> {
  return await register(server.core, { name, kind: 'integration', scope: 'orders:read' });
}

async function disable({ id }: TestClient): Promise<void> {
  await server.core.change((transaction) => disableClient(transaction, server.core, actor, id));
}

/** Commits changes as another process does. */
async function recordChanges(count: number, name: string, length = 0): Promise<void> {
  await server.core.database.query(
    `INSERT INTO changes (kind, target, at, expires_at)
     SELECT 'access_key', $1 || n || repeat('x', $2), now(), now() + interval '1 hour' FROM generate_series(1, $3) n`,
    [name, length, count],
  );
}

describe('the event stream of a resource server', () => {
  test('reports a revoked token, a disabled client and a changed access key', async () => {
    const listener = await listen();
    const token = await api.accessToken(clients.shop);
    const { json } = await api.introspect(clients.orders, token);
    const client = await newClient();
    await api.revoke(clients.shop, token);
    await disable(client);
    await recordChanges(1, 'key-');
    await eventually(() => listener.text().includes(`event: token\ndata: {"jti":"${json['jti']}"}\n\n`));
    await eventually(() => listener.text().includes(`event: client\ndata: {"client_id":"${client.id}"}\n\n`));
    await eventually(() => listener.text().includes('event: access_key\ndata: {"access_key_id":"key-1"}\n\n'));
    expect(listener.text()).not.toContain(token);
  });

  test('sends heartbeats, which show that the connection is alive', async () => {
    const listener = await listen();
    await eventually(() => listener.text().includes('\n: heartbeat\n\n'));
  });

  test('resumes with Last-Event-ID without a gap, also on another process', async () => {
    const first = await listen();
    const before = await newClient();
    await disable(before);
    await eventually(() => first.text().includes(before.id));
    first.response.destroy();
    const missed = await newClient();
    await disable(missed);
    const other = await startTestServer({ stores: server.stores });
    try {
      for (const url of [server.publicUrl, other.publicUrl]) {
        const resumed = await listen(clients.orders, { url, lastEventId: first.lastEventId() ?? '' });
        await eventually(() => resumed.text().includes(missed.id));
        expect(resumed.text()).not.toContain('event: reset');
      }
    } finally {
      for (const request of open.splice(0)) request.destroy();
      await other.close();
    }
  });

  test('resumes from its start position if nothing changed during the first connection', async () => {
    const first = await listen();
    first.response.destroy();
    const missed = await newClient();
    await disable(missed);
    const resumed = await listen(clients.orders, { lastEventId: first.lastEventId() ?? '' });
    await eventually(() => resumed.text().includes(missed.id));
  });

  test('sends a reset if the missed events are unknown', async () => {
    const [position] = (await listen()).lastEventId()?.split('-') ?? [];
    const now = Math.floor(Date.now() / 1_000);
    const cases = ['nonsense', `1-${now}`, `${position}-${now - 86_400}`, `9${'0'.repeat(18)}-${now}`, "1' OR 1=1-1"];
    for (const lastEventId of cases) {
      const listener = await listen(clients.orders, { lastEventId });
      await eventually(() => listener.text().includes('event: reset\ndata: {}\n\n'));
    }
  });

  test('sends a reset after too many missed events, and for too many changes at once', async () => {
    const first = await listen();
    await recordChanges(1_500, 'bulk-');
    await eventually(() => first.text().includes('event: reset') || first.text().includes('bulk-1500"'));
    await recordChanges(3_000, 'more-');
    await eventually(() => first.text().includes('event: reset'));
    expect(first.text().length).toBeLessThan(300_000);
    const [begun = ''] = /^id: (\S+)$/m.exec(first.text())?.slice(1) ?? [];
    const resumed = await listen(clients.orders, { lastEventId: begun });
    await eventually(() => resumed.text().includes('event: reset'));
    expect(resumed.text()).not.toContain('bulk-');
    // Later changes are sent individually again.
    const client = await newClient();
    await disable(client);
    for (const listener of [first, resumed]) await eventually(() => listener.text().includes(client.id));
  });

  test('ends when the credentials of the resource server change', async () => {
    const reports = await register(server.core, {
      name: 'Reports',
      kind: 'resource_server',
      resource: 'https://reports.example',
      information: ['reports'],
    });
    const listener = await listen(reports);
    const other = await listen();
    await disable(reports);
    await eventually(listener.ended);
    expect(listener.text()).toContain(reports.id);
    await eventually(() => other.text().includes(reports.id));
    expect(other.ended()).toBe(false);
    const headers = { Authorization: basicOf(reports.id, reports.secret) };
    expect((await send(`${server.publicUrl}/oauth2/events`, { headers })).status).toBe(401);
  });
});

test('rejects event streams of clients that are not resource servers', async () => {
  const ask = (headers: Record<string, string>) => send(`${server.publicUrl}/oauth2/events`, { headers });
  expect((await ask({})).status).toBe(401);
  expect((await ask({ Authorization: basicOf(clients.shop.id, clients.shop.secret) })).status).toBe(403);
});

test('disconnects a listener of events that does not read, so that memory stays bounded, and serves the others', async () => {
  const slow = await listen();
  const quick = await listen();
  slow.response.pause();
  // Write more than the socket buffers of both sides can hold.
  const batches = 300;
  for (let batch = 1; batch <= batches; batch++) {
    await recordChanges(10, `batch-${batch}-`, 5_000);
    await server.core.feed.sync();
  }
  await eventually(() => quick.text().includes(`batch-${batches}-10x`));
  expect(quick.ended()).toBe(false);
  slow.response.resume();
  await eventually(slow.ended);
  expect(slow.text()).not.toContain(`batch-${batches}-10x`);
  // The listener resumes and gets a reset, because it missed too much.
  const resumed = await listen(clients.orders, { lastEventId: slow.lastEventId() ?? '' });
  await eventually(() => resumed.text().includes('event: reset'));
});

test('ends the event streams of a process that no longer learns of changes', async () => {
  const { databaseUrl, redisUrl } = server.stores;
  const [database, redis] = [await startTcpProxy(databaseUrl), await startTcpProxy(redisUrl)];
  const stores = { ...server.stores, databaseUrl: database.url, redisUrl: redis.url };
  const apart = await startTestServer({ stores });
  try {
    const listener = await listen(clients.orders, { url: apart.publicUrl });
    for (const proxy of [database, redis]) proxy.stall();
    await eventually(listener.ended);
  } finally {
    for (const proxy of [database, redis]) proxy.restore();
    await apart.close();
    for (const proxy of [database, redis]) await proxy.close();
  }
});

describe('a thousand listeners on one process', () => {
  let child: ChildServer;
  let listeners: Listener[];

  beforeAll(async () => {
    child = await startChildServer(server.stores, {
      KEYTURN_ISSUER: 'http://localhost:4000',
      KEYTURN_LOG_LEVEL: 'info',
    });
  });

  afterAll(async () => {
    await child?.terminate();
  });

  test('all receive each event while tokens are issued, and one more of the same client gets 429', async () => {
    listeners = [];
    while (listeners.length < 1_000) {
      const some = Array.from({ length: 50 }, () => listen(clients.orders, { url: child.publicUrl }));
      listeners.push(...(await Promise.all(some)));
    }
    const at = endpointsOf(child.publicUrl);
    let running = true;
    let issued = 0;
    const issuing = (async () => {
      while (running) {
        expect((await at.token(clients.shop)).status).toBe(200);
        issued += 1;
      }
    })();
    for (let time = 0; time < 5; time++) {
      const changing = await Promise.all(Array.from({ length: 10 }, () => newClient()));
      for (const client of changing) await disable(client);
      const last = changing.at(-1)?.id ?? '';
      await eventually(() => listeners.every((listener) => listener.text().includes(last)));
    }
    running = false;
    await issuing;
    expect(issued).toBeGreaterThan(50);
    expect(listeners.filter(({ ended }) => ended())).toEqual([]);
    const headers = { Authorization: basicOf(clients.orders.id, clients.orders.secret) };
    const further = await fetch(`${child.publicUrl}/oauth2/events`, { headers });
    expect([further.status, further.headers.get('retry-after')]).toEqual([429, '10']);
    await listen(clients.invoices, { url: child.publicUrl });
    // A closed stream makes room for another one.
    open[0]?.destroy();
    await eventually(async () => {
      const again = await fetch(`${child.publicUrl}/oauth2/events`, { headers });
      await again.body?.cancel();
      return again.status === 200;
    });
  });
});
