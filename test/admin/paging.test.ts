import { generateClient } from '../../src/clients/manage-clients.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let now = Date.UTC(2030, 0, 1);
const actor = { id: 'test', name: 'test', address: null };
const made = 450;

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  await server.core.change(async (transaction) => {
    // Many clients share a creation time, so the order of pages must not depend on the time alone.
    for (let index = 0; index < made; index++) {
      if (index % 100 === 0) now += 1;
      await generateClient(transaction, server.core, actor, { name: `Client ${index}`, kind: 'integration' });
    }
  });
});
afterAll(() => server.close());

async function readAll(path: string, eachPage: () => Promise<void> = async () => undefined): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const { status, json } = await server.adminFetch(`${path}${cursor && `&cursor=${cursor}`}`);
    expect(status).toBe(200);
    ids.push(...json.data.map((item: { client_id?: string; id: string | number }) => item.client_id ?? item.id));
    cursor = json.next_cursor;
    await eachPage();
  }
  return ids;
}

test.each([7, 200])('lists every client exactly once in pages of %d', async (limit) => {
  const ids = await readAll(`/clients?limit=${limit}`);
  expect(ids).toHaveLength(made);
  expect(new Set(ids).size).toBe(made);
});

test('keeps the pages of a list stable while clients are created', async () => {
  const before = await readAll('/clients?limit=200');
  const ids = await readAll('/clients?limit=100', async () => {
    now += 1;
    await server.adminFetch('/clients', { method: 'POST', body: { name: 'Late', kind: 'integration' } });
  });
  expect(ids).toEqual(before);
});

test('pages through the audit log to its end', async () => {
  const ids = await readAll('/audit-events?limit=150&action=client.create');
  expect(ids.length).toBeGreaterThanOrEqual(made);
  expect(ids).toEqual([...ids].sort((a, b) => Number(b) - Number(a)));
});

test('rejects a cursor that is forged, modified, truncated or issued for another list', async () => {
  const { json } = await server.adminFetch('/clients?limit=1');
  const cursor: string = json.next_cursor;
  const [version = '', payload = '', mac = ''] = cursor.split('.');
  const other = Buffer.from(JSON.stringify({ created_at: '2031-01-01T00:00:00.000Z', id: crypto.randomUUID() }));
  const forged = [
    'x',
    '..',
    `${version}.${payload}`,
    `${version}.${payload}.`,
    `${version}.${payload}.${'A'.repeat(43)}`,
    `${version}.${other.toString('base64url')}.${mac}`,
    `v9.${payload}.${mac}`,
    `${cursor}.x`,
    `${version}.${payload}.${mac.slice(0, -4)}`,
  ];
  for (const value of forged) {
    const answer = await server.adminFetch(`/clients?cursor=${value}`);
    expect([value, answer.status, answer.json.code]).toEqual([value, 400, 'invalid_cursor']);
  }
  const elsewhere = await server.adminFetch(`/contacts?cursor=${cursor}`);
  expect(elsewhere.json.code).toBe('invalid_cursor');
  expect((await server.adminFetch(`/clients?cursor=${cursor}`)).status).toBe(200);
});
