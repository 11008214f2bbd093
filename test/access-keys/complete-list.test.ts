import { type AccessKeyFilter, listAccessKeys } from '../../src/access-keys/access-key-store.ts';
import type { Slice } from '../../src/storage/page-by-text.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { askPostgres } from '../services.ts';

let server: AdminServer;
const now = new Date('2026-06-01T00:00:00Z');

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now.getTime() });
  await askPostgres(server.stores.databaseUrl, seed);
});
afterAll(() => server.close());

/**
 * Inserts 10,000 contacts with ten keys each, in an order on disk that is unrelated to the order of the list. Filtered
 * values are not evenly distributed, which would be easy: the oldest keys are disabled, followed by expired ones and
 * unused ones, and the contact Acme has the oldest keys.
 */
const seed = `
  INSERT INTO contacts (id, name, email, created_at, updated_at)
    SELECT gen_random_uuid(), CASE WHEN n <= 300 THEN 'Acme ' ELSE 'Partner ' END || n, 'partner' || n || '@example.com', now(), now()
    FROM generate_series(1, 10000) n;
  INSERT INTO access_keys (id, contact, name, scope, enabled, expires_at, used_at, last_used_at, created_at, updated_at)
    SELECT gen_random_uuid(), c.id, 'Key ' || k || ' of ' || c.name, '{orders:read}', n > 2000,
      CASE WHEN n <= 3000 THEN timestamptz '2026-01-01' END, timestamptz '2025-01-01',
      CASE WHEN n <= 3100 THEN timestamptz '2026-01-01' ELSE timestamptz '2026-05-31' END,
      timestamptz '2025-01-01' + n * interval '1 second', now()
    FROM contacts c, generate_series(1, 10) k, LATERAL (
      SELECT (substring(c.email, '\\d+')::integer - 1) * 10 + k AS n
    ) numbered WHERE c.email LIKE 'partner%' ORDER BY random();
  INSERT INTO secrets (id, access_key, generation, verifier, key_version, hint, created_at)
    SELECT gen_random_uuid(), id, 1, sha256(id::text::bytea), 'v1', substring(md5(id::text), 1, 4), created_at FROM access_keys;
  ANALYZE`;

const day = 86_400_000;
const unusedSince = new Date(now.getTime() - 90 * day);
const after = { createdAt: new Date('2025-01-01T00:50:00Z'), id: '00000000-0000-0000-0000-000000000000' };
const statuses = [undefined, 'enabled', 'disabled', 'expired'] as const;
const texts = [undefined, 'key', 'key 7', 'acme', 'partner 9999', 'key nobody', '…ab12', '?'];
const filters = statuses.flatMap((status) =>
  texts.flatMap((q) =>
    [{}, { unusedSince }, { after }, { unusedSince, after }].map((more) => ({ status, q, ...more })),
  ),
);

async function explain(filter: Partial<AccessKeyFilter>): Promise<string> {
  const plan: string[] = [];
  const recorder = {
    query: async (sql: string, parameters: readonly unknown[]) => {
      const lines = await server.core.database.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN (ANALYZE, BUFFERS) ${sql}`,
        parameters,
      );
      plan.push(...lines.map((line) => line['QUERY PLAN']));
      return [];
    },
  };
  await listAccessKeys(recorder as never, { limit: 200, now, ...filter });
  return plan.join('\n');
}

/**
 * Returns the numbers of rows that sequential scans read. A page may read a few rows in that way, but not the whole
 * table.
 */
function rowsOfScans(plan: string): number[] {
  const lines = plan.split('\n');
  return lines.flatMap((line, index) => {
    if (!line.includes('Seq Scan')) return [];
    const removed = lines
      .slice(index + 1, index + 4)
      .map((next) => /Rows Removed by Filter: (\d+)/.exec(next)?.[1] ?? 0);
    return [Number(/actual .*rows=(\d+)/.exec(line)?.[1] ?? 0) + Math.max(...removed.map(Number))];
  });
}

test.each(filters)('a page of %j uses an index and reads a limited part of the tables', async (filter) => {
  const plan = await explain(filter);
  for (const rows of rowsOfScans(plan)) expect(rows).toBeLessThan(4_100);
  expect(Number(/Buffers: shared hit=(\d+)/.exec(plan)?.[1] ?? 0)).toBeLessThan(15_000);
});

const matches: [Partial<AccessKeyFilter>, number][] = [
  [{}, 100_000],
  [{ status: 'disabled' }, 2_000],
  [{ status: 'expired' }, 1_000],
  [{ status: 'enabled' }, 97_000],
  [{ unusedSince }, 3_100],
  [{ unusedSince, status: 'enabled' }, 100],
  [{ q: 'Partner 9999' }, 10],
  [{ q: 'acme' }, 3_000],
  [{ q: '  KEY, 7' }, 19_999],
  [{ q: 'acme', status: 'expired' }, 1_000],
];
test.each(matches)('the pages of %j contain every match once, newest first', async (filter, expected) => {
  const ids = new Set<string>();
  const created: number[] = [];
  let after: Slice['after'];
  do {
    const limit = 2_000;
    let cut: Slice['after'];
    const onCut = (at: Slice['after']) => {
      cut = at;
    };
    const rows = await listAccessKeys(server.core.database, { ...filter, now, limit, after, onCut });
    for (const { key } of rows.slice(0, limit)) {
      ids.add(key.id);
      created.push(key.createdAt.getTime());
    }
    const last = rows.length > limit ? rows[limit - 1]?.key : undefined;
    after = last ? { id: last.id, value: last.createdAt } : cut;
  } while (after);
  expect([created.length, ids.size]).toEqual([expected, expected]);
  expect(created).toEqual(created.toSorted((one, other) => other - one));
});

test('cursors page through a list over HTTP, and the last four characters of a value find its key', async () => {
  const names: string[] = [];
  let cursor: string | null = null;
  do {
    const more: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
    const { json } = await server.adminFetch(`/access-keys?limit=7&q=partner%209999${more}`);
    names.push(...(json.data as { name: string }[]).map(({ name }) => name));
    cursor = json.next_cursor;
  } while (cursor);
  expect(names).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1].map((n) => `Key ${n} of Partner 9999`));
  const { json: contact } = await server.adminFetch('/contacts', {
    method: 'POST',
    body: { name: 'Zoë Löwe', email: 'zoe@example.com' },
  });
  const body = { name: "Lager-Süd (o'new)", permissions: {} };
  const { json: key } = await server.adminFetch(`/contacts/${contact.id}/access-keys`, { method: 'POST', body });
  const found = async (q: string) => {
    const { json } = await server.adminFetch(`/access-keys?q=${encodeURIComponent(q)}`);
    return (json.data as { id: string }[]).some(({ id }) => id === key.id);
  };
  for (const q of [key.hint, 'lager', 'süd', 'LAGER zoë', "o'new", 'new löw', `lager' | 'x`])
    expect([q, await found(q)]).toEqual([q, q !== `lager' | 'x`]);
  await server.adminFetch(`/contacts/${contact.id}`, { method: 'PATCH', body: { name: 'Ida' } });
  expect([await found('zoë'), await found('ida lager')]).toEqual([false, true]);
  await server.adminFetch(`/access-keys/${key.id}`, { method: 'PATCH', body: { name: 'Nord' } });
  expect([await found('lager'), await found('nord ida')]).toEqual([false, true]);
});

test('a page needs the same number of statements for every size', async () => {
  const count = async (limit: number) => {
    const { unlimitedDatabase: database } = server.core;
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
