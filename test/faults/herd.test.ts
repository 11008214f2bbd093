import { Agent } from 'node:http';
import { generateClient } from '../../src/clients/manage-clients.ts';
import { createTestStores, type Stores, startTestServer, type TestServer } from '../harness.ts';
import { actor, endpointsOf, registerAll, type TestClient, watchQueries } from '../oauth/fixture.ts';
import { send } from '../oauth/http-client.ts';

const clientCount = 1_000;
const requestsEach = 5;
/** Number of connections, each of which sends one request after the other. */
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
});

afterAll(() => restarted?.close());

it('a restarted process looks up each of many clients that return at once only once, and serves them', async () => {
  const { token } = endpointsOf(restarted.publicUrl);
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  // Open the connections first, because the time that Node takes to accept them is not part of this test.
  const connect = () => send(`${restarted.publicUrl}/healthz`, { agent });
  await Promise.all(Array.from({ length: connections }, connect));
  const queries = watchQueries(restarted.core);
  // The requests of each client arrive together, so that its first look-up is still in progress when the others arrive.
  const turns = herd.flatMap((client) => Array<TestClient>(requestsEach).fill(client)).values();
  const statuses: Record<number, number> = {};
  // A server on a dedicated machine would reject none of them. Here callers, server and stores share it with other
  // tests.
  let later = 0;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      for (const client of turns) {
        const { status } = await token(client, {}, { agent });
        let last = status;
        if (status === 503) later += 1;
        // Clients retry.
        while (last === 503) ({ status: last } = await token(client, {}, { agent }));
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
});
