import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, registerAll, type TestClient } from './fixture.ts';
import { post } from './http-client.ts';

/**
 * Size of the young generation. The whole measurement fits into it, so the used memory at its end is the allocated
 * memory.
 */
const youngMegabytes = 64;
const requests = 1_000;
/** Memory per request that a process keeps for counters and caches, averaged over a thousand requests. */
const keptBytes = 500;

let owner: TestServer;
let child: ChildProcess;
let clients: { orders: TestClient; shop: TestClient };
let url: string;

beforeAll(async () => {
  owner = await startTestServer();
  clients = await registerAll(owner.core);
  const { databaseUrl, redisUrl, rootKey } = owner.stores;
  child = fork(new URL('./measured-server.ts', import.meta.url), {
    execArgv: [
      '--expose-gc',
      `--min-semi-space-size=${youngMegabytes}`,
      `--max-semi-space-size=${youngMegabytes}`,
      `--scavenger-max-new-space-capacity-mb=${youngMegabytes}`,
    ],
    env: {
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      KEYTURN_ROOT_KEY: rootKey,
      KEYTURN_ISSUER: 'http://localhost:4000',
      KEYTURN_ALLOWED_HOSTS: '127.0.0.1',
      KEYTURN_PORT: '0',
      KEYTURN_ADMIN_PORT: '0',
    },
  });
  [url] = (await once(child, 'message')) as [string];
});

afterAll(async () => {
  child?.disconnect();
  await owner?.close();
});

async function usedBytes(after: 'major' | 'minor' | 'now'): Promise<number> {
  const answered = once(child, 'message');
  child.send(after);
  const [bytes] = (await answered) as [number];
  return bytes;
}

type PerRequest = { allocated: number; kept: number };

/**
 * Measures the bytes that a warm server allocates per request, and those that remain after a collection of the young
 * generation.
 */
async function measure(send: (agent: Agent) => Promise<{ status: number }>): Promise<PerRequest> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let round = 0; round < requests * 2; round++) expect((await send(agent)).status).toBe(200);
  const before = await usedBytes('major');
  for (let round = 0; round < requests; round++) await send(agent);
  const after = await usedBytes('now');
  const kept = await usedBytes('minor');
  agent.destroy();
  return { allocated: (after - before) / requests, kept: (kept - before) / requests };
}

// The limits are four thirds of the measured values. They do not depend on time, so load on the machine does not
// matter; the application allocates several times as much. Unreachable old objects keep what they point to alive beyond
// the young generation, which costs a pause, so nothing of a request may remain.
test.each([
  ['a token', 24_000],
  ['an introspection', 14_000],
])('%s leaves at most %d bytes of garbage, and nothing for the old generation', async (what, bound) => {
  const api = endpointsOf(url);
  const token = await api.accessToken(clients.shop);
  const { allocated, kept } = await measure((agent) =>
    what === 'a token'
      ? post(
          api.tokenUrl,
          { grant_type: 'client_credentials' },
          { basic: [clients.shop.id, clients.shop.secret], agent },
        )
      : post(api.introspectionUrl, { token }, { basic: [clients.orders.id, clients.orders.secret], agent }),
  );
  expect(allocated).toBeGreaterThan(1_000);
  expect(allocated).toBeLessThan(bound);
  expect(kept).toBeLessThan(keptBytes);
});
