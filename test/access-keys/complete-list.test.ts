import { type AccessKeyFilter, listAccessKeys } from '../../src/access-keys/access-key-store.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { askPostgres } from '../services.ts';

let server: AdminServer;
const now = new Date('2026-06-01T00:00:00Z');

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now.getTime() });
  await askPostgres(server.stores.databaseUrl, seed);
  await askPostgres(server.stores.databaseUrl, 'ANALYZE');
}, 120_000);
afterAll(() => server.close());

/** 10,000 contacts with ten keys each: one in fifty disabled, one in a hundred ended, one in a thousand long unused. */
const seed = `
  INSERT INTO contacts (id, name, email, created_at, updated_at)
    SELECT gen_random_uuid(), 'Partner ' || n, 'partner' || n || '@example.com', now(), now() FROM generate_series(1, 10000) n;
  INSERT INTO access_keys (id, contact, name, scope, enabled, expires_at, used_at, last_used_at, created_at, updated_at)
    SELECT gen_random_uuid(), c.id, 'Key ' || c.name || ' ' || k, '{orders:read}', (row_number() OVER ()) % 50 <> 0,
      CASE WHEN (row_number() OVER ()) % 100 = 1 THEN timestamptz '2026-01-01' END,
      timestamptz '2025-01-01',
      CASE WHEN (row_number() OVER ()) % 1000 = 7 THEN timestamptz '2026-01-01' ELSE timestamptz '2026-05-31' END,
      timestamptz '2025-01-01' + (row_number() OVER ()) * interval '1 second', now()
    FROM contacts c, generate_series(1, 10) k WHERE c.name LIKE 'Partner %';
  INSERT INTO secrets (id, access_key, generation, verifier, key_version, hint, created_at)
    SELECT gen_random_uuid(), id, 1, sha256(id::text::bytea), 'v1', 'abcd', created_at FROM access_keys;`;

const day = 86_400_000;
const filters: [string, Partial<AccessKeyFilter>][] = [
  ['no filter', {}],
  ['disabled ones', { status: 'disabled' }],
  ['expired ones', { status: 'expired' }],
  ['a text that many begin with', { q: 'key partner 12' }],
  ["a contact's name", { q: 'Partner 9999' }],
  ['a text that nothing begins with', { q: 'nobody' }],
  ['unused for 90 days', { unusedSince: new Date(now.getTime() - 90 * day) }],
];

test.each(filters)('%s: a page reads a bounded part of the table, by index', async (_name, filter) => {
  const seen: string[] = [];
  const recorder = {
    ...server.core.database,
    query: async (sql: string, parameters: readonly unknown[] = []) => {
      const plan = await server.core.database.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, BUFFERS) ${sql}`,
        parameters,
      );
      seen.push(...plan.map((line) => line['QUERY PLAN']));
      return [];
    },
  };
  await listAccessKeys(recorder as never, { limit: 50, now, ...filter });
  const plan = seen.join('\n');
  expect(plan).not.toMatch(/Seq Scan on access_keys/);
  expect(plan).toMatch(/Index|Bitmap/);
});

test('pages of every filter add up to all that match, each key once', async () => {
  for (const [query, expected] of [
    ['status=disabled', 2_000],
    ['unused_for_days=90', 100],
    ['q=Partner%209999', 10],
  ] as const) {
    const ids = new Set<string>();
    let cursor: string | null = null;
    let rows = 0;
    do {
      const { json } = await server.adminFetch(
        `/access-keys?limit=200&${query}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`,
      );
      for (const key of json.data as { id: string }[]) ids.add(key.id);
      rows += json.data.length;
      cursor = json.next_cursor;
    } while (cursor);
    expect([query, rows, ids.size]).toEqual([query, expected, expected]);
  }
});

test('a page costs the same few statements however long it is', async () => {
  const count = async (limit: number) => {
    const { database } = server.core;
    const { query } = database;
    let statements = 0;
    database.query = (async (...all: Parameters<typeof query>) => {
      if (/access_key|usage|clients/.test(all[0])) statements += 1;
      return await query(...all);
    }) as typeof query;
    await server.adminFetch(`/access-keys?limit=${limit}`);
    database.query = query;
    return statements;
  };
  expect(await count(200)).toBe(await count(1));
});
