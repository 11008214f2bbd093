import { createAccessKey } from '../../src/access-keys/manage-access-keys.ts';
import { generateClient } from '../../src/clients/manage-clients.ts';
import { createContact } from '../../src/contacts/manage-contacts.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let now = Date.UTC(2030, 0, 1);
const actor = { id: 'test', name: 'test', address: null };
const made = 450;
const contacts = 300;

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  await server.core.change(async (transaction) => {
    // Many clients share a creation time, so the order of pages must not depend on the time alone.
    for (let index = 0; index < made; index++) {
      if (index % 100 === 0) now += 1;
      await generateClient(transaction, server.core, actor, { name: `Client ${index}`, kind: 'integration' });
    }
    for (let index = 0; index < contacts; index++) {
      const contact = await createContact(
        transaction,
        server.core,
        { ...actor, permissions: [], organizationId: null },
        {
          name: `${index % 2 ? 'partner' : 'Partner'} ${index}`,
          email: 'it@example.com',
        },
      );
      await createAccessKey(transaction, server.core, actor, contact.id, { name: `Key ${index % 7}` });
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

const sortedLists = ['-created_at', 'created_at', 'name', '-name'].flatMap((sort) =>
  [
    `/clients?order=${sort}`,
    `/clients?order=${sort}&q=client`,
    `/contacts?order=${sort}`,
    `/access-keys?order=${sort}`,
  ].map((path) => [path]),
);
test.each([...sortedLists, ['/audit-events?order=at'], ['/audit-events?order=-at']])(
  'the previous pages of %s are the next ones in reverse',
  async (path) => {
    type Found = { data: { name: string; created_at: string; at: string }[] } & Record<string, string | null>;
    const read = async (cursor: string | null | undefined): Promise<Found> => {
      const { status, json } = await server.adminFetch(`${path}&limit=90${cursor ? `&cursor=${cursor}` : ''}`);
      expect(status).toBe(200);
      return json;
    };
    const pages = [await read(null)];
    while (pages.at(-1)?.['next_cursor']) pages.push(await read(pages.at(-1)?.['next_cursor']));
    expect(pages[0]?.['previous_cursor']).toBeUndefined();
    expect(pages.length).toBeGreaterThan(1);
    for (let index = pages.length - 1; index > 0; index--) {
      const page = await read(pages[index]?.['previous_cursor']);
      expect(page.data).toEqual(pages[index - 1]?.data);
      expect(page['next_cursor']).toEqual(pages[index - 1]?.['next_cursor']);
      expect(page['previous_cursor']).toEqual(pages[index - 1]?.['previous_cursor']);
    }
    const [, sort = ''] = /order=(-?\w+)/.exec(path) ?? [];
    const keys = pages.flatMap(({ data }) =>
      data.map((item) => (sort.endsWith('name') ? item.name.toLowerCase() : (item.at ?? item.created_at))),
    );
    const sorted = keys.toSorted((one, other) => (one < other ? -1 : one > other ? 1 : 0));
    expect(keys).toEqual(sort.startsWith('-') ? sorted.reverse() : sorted);
  },
);

test.each([
  ['/clients?count=true&limit=1', made],
  ['/clients?count=true&q=Client 44', 11],
  ['/clients?count=true&status=disabled', 0],
  ['/contacts?count=true', contacts + 1],
  ['/access-keys?count=true&limit=1', contacts],
])('counts the items of all pages of %s', async (path, expected) => {
  const { json } = await server.adminFetch(path);
  expect(json.total).toEqual({ count: expected, has_more: false });
});

test('counts a list up to 1,000 items', async () => {
  const { json } = await server.adminFetch('/audit-events?count=true&limit=1');
  expect(json.total).toEqual({ count: 1_000, has_more: true });
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
  const sorted = await server.adminFetch(`/clients?order=name&cursor=${cursor}`);
  expect(sorted.json.code).toBe('invalid_cursor');
  const elsewhere = await server.adminFetch(`/contacts?cursor=${cursor}`);
  expect(elsewhere.json.code).toBe('invalid_cursor');
  expect((await server.adminFetch(`/clients?cursor=${cursor}`)).status).toBe(200);
});
