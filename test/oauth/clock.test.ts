import { createDatabaseClock } from '../../src/process/clock.ts';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { askPostgres } from '../services.ts';
import { endpointsOf, inactive, register, registerAll, type TestClient } from './fixture.ts';
import { send } from './http-client.ts';

let server: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let signed: { api: TestClient; integration: TestClient };
let api: ReturnType<typeof endpointsOf>;
/** Difference between the clocks and the real time, in milliseconds. */
let ahead = 0;
let databaseAhead = 0;
const database = createDatabaseClock();

beforeAll(async () => {
  server = await startTestServer({
    clock: () => Date.now() + ahead,
    databaseClock: { observe: database.observe, now: () => (database.now() ?? Date.now()) + databaseAhead },
  });
  clients = await registerAll(server.core);
  signed = {
    api: await register(server.core, {
      name: 'Signed API',
      kind: 'resource_server',
      resource: 'https://signed.example',
      information: ['signed'],
      tokenFormat: 'jwt',
    }),
    integration: await register(server.core, { name: 'Signed', kind: 'integration', scope: 'signed:read' }),
  };
  api = endpointsOf(server.publicUrl);
});
afterEach(() => {
  ahead = 0;
  databaseAhead = 0;
});
afterAll(() => server?.close());

const readiness = async () => (await send(`${server.publicUrl}/readyz`)).json;

describe.each([
  ['ahead', 6_000],
  ['behind', -6_000],
])('a clock that is %s of the database by more than five seconds', (_, distance) => {
  it('stops issuing tokens and reports it, until it is corrected', async () => {
    ahead = distance;
    for (const client of [clients.shop, signed.integration]) {
      const answer = await api.token(client);
      expect(answer).toMatchObject({ status: 503, json: { error: 'temporarily_unavailable' } });
      expect(answer.headers['retry-after']).toBe('1');
    }
    await eventually(async () => (await readiness())['status'] === 'not_ready');
    expect(await readiness()).toMatchObject({ checks: { clock: 'differs_from_database' } });
    const metrics = await send(`${server.adminUrl}/metrics`);
    const [, seconds] = /^keyturn_clock_difference_seconds (\S+)$/m.exec(metrics.text) ?? [];
    expect(Math.round(Number(seconds))).toBe(distance / 1_000);
    ahead = 0;
    expect(await api.token(clients.shop)).toMatchObject({ status: 200 });
    await eventually(async () => (await readiness())['status'] === 'ready');
  });
});

it('tolerates a clock difference of less than five seconds', async () => {
  ahead = 4_000;
  expect(await api.token(clients.shop)).toMatchObject({ status: 200 });
});

it('records the revocation of a JWT that has expired only by the wrong clock of this process', async () => {
  const token = await api.accessToken(signed.integration);
  const { jti } = (await api.introspect(signed.api, token)).json;
  ahead = 2 * 3_600_000;
  expect(await api.revoke(signed.integration, token)).toMatchObject({ status: 200 });
  ahead = 0;
  expect((await api.introspect(signed.api, token)).text).toBe(inactive);
  const rows = await askPostgres(server.stores.databaseUrl, `SELECT FROM changes WHERE target = '${jti}'`);
  expect(rows).toHaveLength(1);
});

it('treats a token as expired once the database may have deleted its revocation, regardless of this clock', async () => {
  for (const [client, resourceServer] of [
    [clients.shop, clients.orders],
    [signed.integration, signed.api],
  ] as const) {
    const token = await api.accessToken(client);
    expect((await api.introspect(resourceServer, token)).json['active']).toBe(true);
    databaseAhead = 3_700_000;
    expect((await api.introspect(resourceServer, token)).text).toBe(inactive);
    databaseAhead = 0;
  }
});
