import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { generateClient } from '../../src/clients/manage-clients.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, registerAll, type TestClient, watchQueries } from '../oauth/fixture.ts';
import { send } from '../oauth/http-client.ts';

const clientCount = 1_000;
const requestsEach = 5;
/** Connections that send one request after the other, all at once. */
const connections = 200;

let stores: Stores;
let restarted: TestServer;
let herd: TestClient[];

beforeAll(async () => {
  stores = await createTestStores();
  const before = await startTestServer({ stores });
  await registerAll(before.core);
  herd = await before.core.change(async (transaction) => {
    const clients: TestClient[] = [];
    while (clients.length < clientCount) {
      const { client, clientSecret } = await generateClient(transaction, before.core, actor, {
        name: `Integration ${clients.length}`,
        kind: 'integration',
        scope: 'orders:read',
      });
      clients.push({ id: client.clientId, secret: clientSecret });
    }
    return clients;
  });
  await before.close();
  restarted = await startTestServer({ stores });
}, 60_000);

afterAll(() => restarted?.close());

it('when all clients come back at once to a process that knows none of them, each is looked up once at most, and served', async () => {
  const { token } = endpointsOf(restarted.publicUrl);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  // The connections are there before: how fast Node takes new ones is not what is asked here.
  const connect = () => send(`${restarted.publicUrl}/healthz`, { agent });
  await Promise.all(Array.from({ length: connections }, connect));
  const queries = watchQueries(restarted.core);
  // Each client's requests come together, so that the first look-up is still under way when the others arrive.
  const turns = herd.flatMap((client) => Array<TestClient>(requestsEach).fill(client)).values();
  const statuses: Record<number, number> = {};
  const tookMs: number[] = [];
  // On a machine of its own nobody is told to come back later; here callers, server and stores share it with the other tests.
  let later = 0;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      for (const client of turns) {
        const startedAt = performance.now();
        const { status } = await token(client, {}, { agent });
        tookMs.push(performance.now() - startedAt);
        if (status === 503) {
          later += 1;
          await delay(1_000);
        }
        const last = status === 503 ? (await token(client, {}, { agent })).status : status;
        statuses[last] = (statuses[last] ?? 0) + 1;
      }
    }),
  );
  agent.destroy();
  queries.stop();
  expect(statuses).toEqual({ 200: clientCount * requestsEach });
  expect(later).toBeLessThan((clientCount * requestsEach) / 20);
  const lookups = queries.clientLookups();
  expect(lookups.length).toBeGreaterThan(0);
  expect(new Set(lookups).size).toBe(lookups.length);
  tookMs.sort((left, right) => left - right);
  expect(tookMs[Math.floor(tookMs.length * 0.99)]).toBeLessThan(1_000);
}, 60_000);
