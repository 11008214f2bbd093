import { permissions } from '../../src/contacts/contact.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';

let server: ConsoleServer;

beforeEach(async () => {
  server = await startConsole();
});
afterEach(() => server?.close());

type Event = { actor: string; target: string; address: string; after: { attempts: number; requests: string[] } };

const eventsOf = async (action: string): Promise<Event[]> =>
  (await server.adminFetch(`/audit-events?action=${action}&limit=200`)).json.data;
const attemptsOf = (events: readonly Event[]) => events.reduce((sum, { after }) => sum + after.attempts, 0);
const wrongToken = `kto_${'x'.repeat(49)}`;
const knock = async (token: string, address = '203.0.113.9') =>
  (await server.adminFetch('/clients', { token, headers: { 'x-forwarded-for': address } })).status;

test('responds 429 to invalid operator tokens after 100 per minute, and still accepts a valid one', async () => {
  const right = await server.operatorToken();
  const statuses: number[] = [];
  for (let count = 0; count < 120; count++) statuses.push(await knock(wrongToken));
  expect(statuses).toEqual([...Array(100).fill(401), ...Array(20).fill(429)]);
  expect(await knock(right)).toBe(200);
  expect(await knock(wrongToken, '203.0.113.10')).toBe(401);
});

test('records the first failed authentication of a network immediately, and further ones per minute as a count', async () => {
  for (let count = 0; count < 50; count++) await knock(wrongToken);
  expect(await eventsOf('operator.refused')).toEqual([
    expect.objectContaining({
      actor: 'unknown',
      target: '203.0.113.9',
      after: expect.objectContaining({ attempts: 1 }),
    }),
  ]);
  await server.core.refusals.flush();
  const events = await eventsOf('operator.refused');
  expect(events.map(({ after }) => after.attempts)).toEqual([49, 1]);
  expect(JSON.stringify(events)).not.toContain(wrongToken);
});

test('limits failed authentication to 22 audit events per minute for any number of addresses', async () => {
  for (let count = 0; count < 100; count++) await knock(wrongToken, `203.0.113.${count}`);
  for (let count = 0; count < 100; count++) await knock(wrongToken, `203.0.113.${count}`);
  await server.core.refusals.flush();
  const events = await eventsOf('operator.refused');
  expect(events.length).toBeLessThanOrEqual(22);
  expect(attemptsOf(events)).toBe(200);
});

test('does not record requests without credentials', async () => {
  await server.adminFetch('/clients', { token: null });
  await server.look('/console/integrations');
  await server.core.refusals.flush();
  expect(await eventsOf('operator.refused')).toEqual([]);
});

test('records a rejected reveal with its operator, for status 403 and 409', async () => {
  const post = async (path: string, body: unknown, token?: string) =>
    await server.adminFetch(path, { method: 'POST', body, ...(token ? { token } : {}) });
  const { client_id: id } = (await post('/clients', { name: 'a', kind: 'integration', reveal: false })).json;
  const weak = await server.operator(permissions.filter((permission) => permission !== 'api_key:manage'));
  const strong = await server.operator();
  expect((await post(`/clients/${id}/secret/reveal`, {}, weak.token)).status).toBe(403);
  expect((await post(`/clients/${id}/secret/reveal`, {}, strong.token)).status).toBe(409);
  const cookie = await server.signIn(weak.token);
  expect((await server.send(`/console/clients/${id}/reveal`, {}, cookie)).status).toBe(403);
  await server.core.refusals.flush();
  const events = await eventsOf('request.refused');
  expect(events.map(({ target }) => target)).toEqual([weak.id, strong.id, weak.id]);
  expect(events.map(({ actor }) => actor)).toEqual([weak.id, strong.id, weak.id]);
  expect(events[0]?.after.requests).toEqual([`POST /console/clients/:client_id/reveal ${id}`]);
  expect(events[2]?.after.requests).toEqual([`POST /admin/v1/clients/:client_id/secret/reveal ${id}`]);
});

test('records failed sign-ins and proofs of the console, and accepts valid tokens despite the failures of others', async () => {
  const { id, token } = await server.operator();
  const here = { origin: server.adminUrl, 'x-forwarded-for': '203.0.113.7' };
  const signIn = (value: string) => server.send('/console/sign-in', { token: value }, undefined, here);
  for (let count = 0; count < 12; count++) await signIn(wrongToken);
  expect((await signIn(wrongToken)).status).toBe(429);
  expect((await signIn(token)).status).toBe(303);
  const cookie = await server.signIn(token);
  expect((await server.send('/console/prove', { operator_token: wrongToken }, cookie)).status).toBe(401);
  await server.core.refusals.flush();
  const events = await eventsOf('operator.refused');
  expect(attemptsOf(events)).toBe(14);
  expect(events.filter(({ actor }) => actor === id)).toHaveLength(1);
});
