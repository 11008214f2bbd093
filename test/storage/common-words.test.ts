import { type AccessKeyFilter, countAccessKeys, listAccessKeys } from '../../src/access-keys/access-key-store.ts';
import { type ClientFilter, countClients, listClients } from '../../src/clients/client-store.ts';
import { countContacts, listContacts } from '../../src/contacts/contact-store.ts';
import type { Database } from '../../src/storage/database.ts';
import { type Slice, sorts } from '../../src/storage/page-by-text.ts';
import { type ConsoleServer, startConsole } from '../console/console-server.ts';
import { askPostgres } from '../services.ts';
import { explain, rowsRead } from './explain.ts';

// A search reads at most 20,000 rows one by one. Of 45,000 clients, contacts and access keys, only the oldest 15,000 have
// the common word "early", only the oldest 2,000 the rarer word "first", and each thousandth has "seldom".
const total = 45_000;
const early = 15_000;
const seed = `
  CREATE FUNCTION name_of(n integer) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN n <= 2000 THEN 'First Early ' WHEN n <= ${early} THEN 'Early ' ELSE 'Late ' END || CASE WHEN n % 1000 = 0 THEN 'Seldom ' ELSE '' END || n $$;
  INSERT INTO clients (id, client_id, kind, name, auth_method, created_at, updated_at)
    SELECT gen_random_uuid(), 'kti_' || n, 'integration', name_of(n), 'client_secret_basic', timestamptz '2025-01-01' + n * interval '1 s', now()
    FROM generate_series(1, ${total}) n;
  INSERT INTO client_ids SELECT client_id, id FROM clients;
  INSERT INTO contacts (id, name, email, created_at, updated_at)
    SELECT gen_random_uuid(), name_of(n), 'p@example.com', timestamptz '2025-01-01' + n * interval '1 s', now() FROM generate_series(1, ${total}) n;
  INSERT INTO access_keys (id, contact, name, scope, created_at, updated_at)
    SELECT gen_random_uuid(), id, 'Key', '{}', created_at, now() FROM contacts WHERE email = 'p@example.com'`;

let server: ConsoleServer;
let database: Database;

beforeAll(async () => {
  server = await startConsole();
  const url = server.stores.databaseUrl;
  for (const statement of seed.split(';\n')) await askPostgres(url, statement);
  await askPostgres(url, 'VACUUM ANALYZE');
  ({ database } = server.core);
});
afterAll(() => server.close());

const now = new Date();
const lists = {
  clients: (recorder: Database, page: ClientFilter & Slice) => listClients(recorder, page),
  contacts: (recorder: Database, page: Slice & { q: string }) => listContacts(recorder, page),
  'access keys': (recorder: Database, page: Omit<AccessKeyFilter, 'now'> & Slice) =>
    listAccessKeys(recorder, { ...page, now }),
};
const counts = {
  clients: countClients,
  contacts: countContacts,
  'access keys': (recorder: Database, filter: { q: string }) => countAccessKeys(recorder, { ...filter, now }),
};
const texts = ['early', 'e', 'late', 'first', 'seldom', 'early seldom', 'early late', '4', '4499', 'nobody'];
const searches = (['clients', 'contacts', 'access keys'] as const).flatMap((name) =>
  texts.map((q) => [name, q] as const),
);

test.each(searches)(
  'searching %s for %j reads a bounded number of rows through indexes in every order',
  async (name, q) => {
    for (const sort of sorts) {
      const list = (recorder: Database) => lists[name](recorder, { q, sort, limit: 50 });
      const nodes = [
        ...(await explain(database, list)),
        ...(await explain(database, (recorder) => counts[name](recorder, { q }))),
      ];
      const scanned = nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => node['Relation Name']);
      // These tables are empty.
      expect(scanned.filter((table) => table !== 'secrets' && table !== 'operator_tokens')).toEqual([]);
      expect(Math.max(...nodes.map(rowsRead))).toBeLessThanOrEqual(20_000);
    }
  },
);

type Page = { names: string[]; next: string | null; previous: string | undefined };

async function page(query: Record<string, string>): Promise<Page> {
  const { json } = await server.adminFetch(`/clients?${new URLSearchParams({ limit: '200', ...query })}`);
  const names = json.data.map(({ name }: { name: string }) => name);
  return { names, next: json.next_cursor, previous: json.previous_cursor };
}

test.each(['-created_at', 'name'] as const)(
  'the pages of a search for a common word in the order %s contain each match exactly once, also when read backwards',
  async (order) => {
    const expected = await database.query<{ name: string }>(
      `SELECT name FROM clients WHERE name LIKE '%Early%' ORDER BY ${order === 'name' ? 'lower(name), id' : 'created_at DESC'}`,
    );
    const names = expected.map(({ name }) => name);
    const query = { q: 'early', order };
    const forwards: Page[] = [await page(query)];
    for (let next = forwards[0]?.next; next; next = forwards.at(-1)?.next)
      forwards.push(await page({ ...query, cursor: next }));
    expect(forwards.flatMap((each) => each.names)).toEqual(names);
    const backwards: Page[] = [forwards.at(-1) as Page];
    for (let previous = backwards[0]?.previous; previous; previous = backwards[0]?.previous) {
      backwards.unshift(await page({ ...query, cursor: previous }));
    }
    expect(backwards.flatMap((each) => each.names)).toEqual(names);
  },
);

test('a search for a common word that is cut says so in the API, the console and the search over everything', async () => {
  const first = await page({ q: 'early' });
  expect([first.names, typeof first.next, first.previous]).toEqual([[], 'string', undefined]);
  const { json } = await server.adminFetch('/search?q=early');
  expect(json).toEqual({
    data: [],
    counts: ['integration', 'contact', 'access_key'].map((kind) => ({ kind, count: 0, has_more: true })),
  });
  const cookie = await server.signIn(await server.operatorToken());
  const { text } = await server.look('/console/integrations?q=early', cookie);
  expect(text).toContain('No integrations match so far');
  expect(text).toContain('Next page');
  expect((await server.look('/console/search?q=early', cookie)).text).toContain(
    'Nothing among the newest matches “early”.',
  );
  expect((await server.look('/console/integrations?q=nobody', cookie)).text).toContain('No integrations match');
});
