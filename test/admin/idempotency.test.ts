import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let now = Date.UTC(2030, 0, 1);

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
});
afterAll(() => server.close());

const newClient = (name: string) => ({ name, kind: 'integration' });

const post = (key: string, body: unknown, token?: string) =>
  server.adminFetch('/clients', {
    method: 'POST',
    body,
    headers: { 'idempotency-key': key },
    ...(token ? { token } : {}),
  });

async function namesStartingWith(name: string): Promise<string[]> {
  const { json } = await server.adminFetch(`/clients?limit=200&q=${name}`);
  return json.data.map((client: { name: string }) => client.name);
}

test('returns the first response, including secret and headers, for a repeated request', async () => {
  const first = await post('one', newClient('Once'));
  const second = await post('one', newClient('Once'));
  expect(first.status).toBe(201);
  expect(second.status).toBe(201);
  expect(second.text).toBe(first.text);
  expect(second.headers.get('location')).toBe(first.headers.get('location'));
  expect(second.headers.get('etag')).toBe('"1"');
  expect(second.headers.get('cache-control')).toBe('no-store');
  expect(await namesStartingWith('Once')).toHaveLength(1);
});

test('creates one client for ten concurrent requests with the same key, and returns its secret to all', async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => post('ten', newClient('Tenfold'))));
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  expect(await namesStartingWith('Tenfold')).toHaveLength(1);
});

test('creates ten clients for ten concurrent requests without an Idempotency-Key', async () => {
  const body = newClient('Keyless');
  await Promise.all(Array.from({ length: 10 }, () => server.adminFetch('/clients', { method: 'POST', body })));
  expect(await namesStartingWith('Keyless')).toHaveLength(10);
});

test('rejects a reused Idempotency-Key with a different request, without changes', async () => {
  await post('reused', newClient('Reused'));
  const otherBody = await post('reused', newClient('Reused too'));
  expect([otherBody.status, otherBody.json.code]).toEqual([422, 'idempotency_key_reused']);
  const otherPath = await server.adminFetch('/contacts', {
    method: 'POST',
    body: newClient('Reused'),
    headers: { 'idempotency-key': 'reused' },
  });
  expect(otherPath.status).not.toBe(201);
  expect(await namesStartingWith('Reused')).toEqual(['Reused']);
});

test('keeps the Idempotency-Keys of different operators apart', async () => {
  const mine = await post('shared', newClient('Mine'));
  const theirs = await post('shared', newClient('Mine'), await server.operatorToken());
  expect(theirs.status).toBe(201);
  expect(theirs.json.client_id).not.toBe(mine.json.client_id);
});

test('does not repeat a response to an operator who has lost the permission', async () => {
  const { id, token } = await server.operator(['api_key:manage']);
  await post('gone', newClient('Gone'), token);
  await server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body: { permissions: ['audit:view'] } });
  expect((await post('gone', newClient('Gone'), token)).status).toBe(403);
});

test('accepts an Idempotency-Key for a new request after ten minutes', async () => {
  const first = await post('timed', newClient('Timed'));
  now += 599_000;
  expect((await post('timed', newClient('Timed'))).text).toBe(first.text);
  now += 2_000;
  const later = await post('timed', newClient('Timed'));
  expect(later.json.client_id).not.toBe(first.json.client_id);
  expect((await post('timed', newClient('Timed'))).text).toBe(later.text);
});

test('does not store rejections, so that the same request can succeed later', async () => {
  const body = { name: 'Later', kind: 'integration', scope: 'parcels:read' };
  expect((await post('later', body)).status).toBe(400);
  await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Parcels', kind: 'resource_server', resource: 'https://parcels.example', information: ['parcels'] },
  });
  expect((await post('later', body)).status).toBe(201);
});

test.each(['', 'é', 'a'.repeat(256)])('rejects the Idempotency-Key %j', async (key) => {
  expect((await post(key, newClient('No key'))).status).toBe(400);
  expect(await namesStartingWith('No key')).toEqual([]);
});

test.each(['authorization-token', 'operator-token'])(
  'returns the same %s for concurrent requests with the same Idempotency-Key',
  async (what) => {
    const isOperator = what === 'operator-token';
    const created = isOperator
      ? await server.adminFetch('/contacts', { method: 'POST', body: { name: 'O', email: 'o@example.com' } })
      : await server.adminFetch('/clients', { method: 'POST', body: newClient('T') });
    const path = isOperator ? `/contacts/${created.json.id}/${what}` : `/clients/${created.json.client_id}/${what}`;
    const ask = () => server.adminFetch(path, { method: 'POST', headers: { 'idempotency-key': what } });
    const answers = await Promise.all([ask(), ask(), ask()]);
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  },
);

test('stores responses encrypted', async () => {
  const { json } = await post('sealed', newClient('Sealed'));
  const rows = await server.core.database.query('SELECT row_to_json(k)::text AS row FROM idempotency_keys k');
  expect(rows.length).toBeGreaterThan(0);
  const stored = JSON.stringify(rows);
  expect([stored.includes(json.client_secret), stored.includes(json.client_id)]).toEqual([false, false]);
});
