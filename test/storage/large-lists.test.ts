import { type AccessKeyFilter, countAccessKeys, listAccessKeys } from '../../src/access-keys/access-key-store.ts';
import { findAttention } from '../../src/attention/attention.ts';
import { listExpirations } from '../../src/attention/expirations.ts';
import { findEndedUse, findInState, states } from '../../src/attention/find-states.ts';
import { type AuditFilter, countAuditEvents, type EventSlice, listAuditEvents } from '../../src/audit/read-events.ts';
import { type ClientFilter, countClients, listClients } from '../../src/clients/client-store.ts';
import { type ContactFilter, countContacts, listContacts } from '../../src/contacts/contact-store.ts';
import { createLog } from '../../src/observability/log.ts';
import { search } from '../../src/search/search.ts';
import type { Database } from '../../src/storage/database.ts';
import { buildLargeIndexes } from '../../src/storage/migrations.ts';
import type { Slice } from '../../src/storage/page-by-text.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { askPostgres, createTestDatabase } from '../services.ts';
import { explain, rowsRead } from './explain.ts';

let url: string;
let database: Database;

/** Data with few disabled clients and resource servers, old access keys that are disabled, expired or unused, and with events of each kind far from the end of the log. Lists of an organization are not read, so no row needs its organization. */
const seed = `
  ALTER TABLE secrets DISABLE TRIGGER secrets_organization; ALTER TABLE usage_sources DISABLE TRIGGER usage_sources_organization;
  INSERT INTO clients (id, client_id, kind, name, enabled, auth_method, created_at, updated_at)
    SELECT gen_random_uuid(), 'kti_' || n, CASE WHEN n % 5000 = 1 THEN 'resource_server' ELSE 'integration' END,
      CASE WHEN n <= 300 THEN 'Acme ' ELSE 'Partner ' END || n, n > 100, 'client_secret_basic', timestamptz '2025-01-01' + n * interval '1 s', now()
    FROM generate_series(1, 50000) n ORDER BY random();
  INSERT INTO client_ids SELECT client_id, id FROM clients;
  INSERT INTO contacts (id, name, email, external_id, created_at, updated_at)
    SELECT gen_random_uuid(), CASE WHEN n <= 300 THEN 'Acme ' ELSE 'Partner ' END || n, 'p' || n || '@example.com', 'crm-' || n,
      timestamptz '2025-01-01' + n * interval '1 s', now()
    FROM generate_series(1, 50000) n ORDER BY random();
  INSERT INTO access_keys (id, contact, name, scope, enabled, expires_at, last_used_at, created_at, updated_at)
    SELECT gen_random_uuid(), id, 'Key ' || k, '{}', n > 700, CASE WHEN n <= 3000 THEN timestamptz '2025-06-01' END,
      CASE WHEN n > 900 THEN timestamptz '2025-12-31' END, timestamptz '2025-01-01' + (n * 4 + k) * interval '1 s', now()
    FROM (SELECT id, substring(external_id, 5)::integer AS n FROM contacts) c, generate_series(1, 4) k
    WHERE n <= 10000 ORDER BY random();
  INSERT INTO audit_events (seq, at, actor, actor_name, action, target_type, target, key_version, mac)
    SELECT n, timestamptz '2025-01-01' + n * interval '1 s', CASE WHEN n <= 200 THEN 'rare' ELSE 'op ' || n % 2 END, '',
      CASE WHEN n <= 200 THEN 'client.reveal_secret' WHEN n % 2 = 0 THEN 'client.create' ELSE 'client.disable' END,
      'client', 'kti_' || n % 20000, 'v1', ''
    FROM generate_series(1, 50000) n;
  INSERT INTO secrets (id, client, client_id, generation, verifier, key_version, hint, created_at, retires_at)
    SELECT gen_random_uuid(), id, client_id, g, uuid_send(gen_random_uuid()), 'v1', right(client_id, 4), created_at,
      CASE WHEN g = 1 THEN created_at + interval '1 day' END
    FROM clients, generate_series(1, 2) g;
  INSERT INTO regenerations (id, client, old_secret, new_secret, finish_when_unused, revoke_tokens, created_at, created_by)
    SELECT gen_random_uuid(), old.client, old.id, new.id, false, false, old.created_at, 'op'
    FROM secrets old JOIN secrets new ON new.client = old.client AND new.generation = 2 WHERE old.generation = 1;
  INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, refused_at, refused_as, expires_at)
    SELECT client, generation, '192.0.2.1', 'sync', created_at, created_at + interval '1 day', 1,
      created_at + interval '2 days', CASE WHEN created_at > '2025-01-01 13:00Z' THEN 'retired_secret' ELSE 'wrong_secret' END, now()
    FROM secrets;
  INSERT INTO usage_source_hours (owner, generation, address, user_agent, starts_at, issued, expires_at)
    SELECT client, generation, '192.0.2.1', 'sync', created_at, 1, now() FROM secrets;
  INSERT INTO usage_live_tokens (owner, generation, epoch, expires_at, count)
    SELECT client, generation, 0, created_at + interval '1 hour', 1 FROM secrets;
  VACUUM ANALYZE clients; VACUUM ANALYZE contacts; VACUUM ANALYZE audit_events; VACUUM ANALYZE access_keys; VACUUM ANALYZE secrets;
  VACUUM ANALYZE regenerations; VACUUM ANALYZE usage_sources; VACUUM ANALYZE usage_source_hours; VACUUM ANALYZE usage_live_tokens`;

beforeAll(async () => {
  url = await createTestDatabase();
  for (const statement of seed.split(';')) await askPostgres(url, statement);
  database = connectPostgres({ connectionString: url, log: createLog('silent') });
});
afterAll(() => database.close());

/** They have one row per operator, published key, break-glass operator token, or webhook. */
const smallTables = new Set(['operator_tokens', 'signing_keys', 'break_glass_uses', 'policies', 'webhooks']);

async function expectBounded(list: (recorder: Database) => Promise<unknown>): Promise<void> {
  const nodes = await explain(database, list);
  expect(nodes.length).toBeGreaterThan(0);
  const scanned = nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => node['Relation Name']);
  expect(scanned.filter((table) => !smallTables.has(String(table)))).toEqual([]);
  expect(Math.max(...nodes.map(rowsRead))).toBeLessThan(4_100);
}

const date = (second: number) => new Date(Date.parse('2025-01-01T00:00:00Z') + second * 1_000);
const id = '00000000-0000-0000-0000-000000000000';
const after = { value: date(40_000), id };

/** Returns the other orders of a list, with the page in the middle that ends before a row. */
function ordersOf<Filter>(filter: Filter): (Filter & Slice)[] {
  const named = { value: 'partner 4', id };
  return [
    { ...filter, limit: 50, before: after },
    { ...filter, limit: 50, sort: 'created_at', after },
    { ...filter, limit: 50, sort: 'name' },
    { ...filter, limit: 50, sort: 'name', after: named },
    { ...filter, limit: 50, sort: '-name', before: named },
  ];
}

const clientFilters: Partial<ClientFilter & Slice>[] = [
  undefined,
  'a',
  'acme',
  'p',
  'par',
  'partner',
  '48',
  'x',
  'nobody',
  'kti_777',
  'acme 7',
  '?',
].flatMap((q) => [
  { q },
  { q, after },
  ...ordersOf({ q }),
  ...ordersOf({ q, kind: 'integration' as const }),
  ...ordersOf({ q, enabled: false }),
  ...ordersOf({ q, kind: 'resource_server' as const }),
  { q, enabled: false },
  { q, enabled: true },
  { q, kind: 'resource_server' as const },
  { q, kind: 'integration' as const, enabled: false },
  { q, kind: 'resource_server' as const, enabled: true },
]);
test.each(clientFilters)('listing clients with %j uses indexes and reads few rows', async (filter) => {
  await expectBounded((recorder) => listClients(recorder, { limit: 50, ...filter }));
  await expectBounded((recorder) => countClients(recorder, filter));
});

const contactFilters: Partial<ContactFilter & Slice>[] = [
  undefined,
  'ac',
  'acme',
  'p',
  'partner',
  'x',
  'p777@example.com',
  'crm-42',
  'nobody',
].flatMap((q) => [{ q }, { q, after }, ...ordersOf({ q })]);
test.each(contactFilters)('listing contacts with %j uses indexes and reads few rows', async (filter) => {
  await expectBounded((recorder) => listContacts(recorder, { limit: 50, ...filter }));
  await expectBounded((recorder) => countContacts(recorder, filter));
});

const now = date(31_536_000);
const unusedSince = date(15_768_000);
const keyFilters: Partial<AccessKeyFilter & Slice>[] = [
  undefined,
  'k',
  'key',
  '3',
  'par',
  'partner',
  'acme',
  '99',
  'key nobody',
  'x',
  '…ab12',
  '?',
].flatMap((q) => [
  { q },
  { q, after: { value: date(20_000), id } },
  ...ordersOf({ q }),
  ...ordersOf({ q, status: 'disabled' as const }),
  ...ordersOf({ q, unusedSince }),
  { q, status: 'disabled' as const },
  { q, status: 'expired' as const },
  { q, status: 'enabled' as const },
  { q, unusedSince },
  { q, status: 'enabled' as const, unusedSince },
]);
test.each(keyFilters)('listing access keys with %j uses indexes and reads few rows', async (filter) => {
  await expectBounded((recorder) => listAccessKeys(recorder, { limit: 50, now, ...filter }));
  await expectBounded((recorder) => countAccessKeys(recorder, { now, ...filter }));
});

test.each([undefined, 'key', '3', 'acme', 'partner', 'x'])(
  'listing the access keys of one contact with the text %j uses indexes and reads few rows',
  async (q) => {
    const [contact] = await database.query<{ id: string }>(`SELECT id FROM contacts WHERE name = 'Acme 7'`);
    const list = (recorder: Database) => listAccessKeys(recorder, { contactId: contact?.id, q, limit: 50, now });
    await expectBounded(list);
    expect(await list(database)).toHaveLength(q === '3' ? 1 : q === 'partner' || q === 'x' ? 0 : 4);
  },
);

const [early, middle, late] = [date(100), date(25_000), date(90_000)];
const events: Partial<AuditFilter & EventSlice>[] = [
  {},
  { actor: 'rare' },
  { actor: 'nobody' },
  { actor: 'op 1' },
  { action: 'client.reveal_secret' },
  { action: 'nothing' },
  { target: 'kti_7' },
  { target: 'kti_none', action: 'client.create' },
].flatMap((filter) => [
  filter,
  { ...filter, since: late },
  { ...filter, since: early, until: middle },
  { ...filter, until: early },
  { ...filter, after: { at: middle, seq: 25_000 } },
  { ...filter, before: { at: middle, seq: 25_000 } },
  { ...filter, sort: 'at' as const },
]);
// Each condition matches half of the log, but no event matches both.
events.push({ actor: 'op 1', action: 'client.create' });
test.each(events)('listing audit events with %j uses indexes and reads few rows', async (filter) => {
  await expectBounded((recorder) => listAuditEvents(recorder, { limit: 50, ...filter }));
  await expectBounded((recorder) => countAuditEvents(recorder, filter));
});

const attentionAt = [
  // Half of the grace periods are running then, later all have ended, and everything is unused.
  date(86_400 + 25_000),
  date(86_400 * 3),
  date(86_400 * 400),
];
const viewer = { id: crypto.randomUUID(), permissions: ['api_key:manage'] as const };
test.each(attentionAt)('finding what needs attention at %s uses indexes and reads few rows', async (at) => {
  await expectBounded((recorder) =>
    findAttention(recorder, { clock: () => at.getTime(), ttlSeconds: 3_600 }, 50, viewer),
  );
});

// 12,000 access keys end at the same time, and a grace period each second.
test.each([
  ['access_key', date(86_400 * 151)],
  ['access_key', date(86_400 + 25_000)],
  ['certificate', date(86_400 + 25_000)],
  ['grace_period', date(86_400 + 25_000)],
] as const)('listing what ends after a %s at %s uses indexes and reads few rows', async (kind, at) => {
  const deps = { clock: () => date(86_400).getTime(), signingKeyDays: 90 };
  const page = { days: 400, limit: 50, after: { kind, at, order: id } };
  const list = (recorder: Database) => listExpirations(recorder, deps, page);
  await expectBounded(list);
  expect(await list(database)).toHaveLength(51);
});

const inStates = attentionAt.flatMap((at) =>
  states.flatMap((state) => [undefined, 'acme', 'partner', 'x'].map((q) => [state, at, q] as const)),
);
test.each(inStates)(
  'listing what is %s at %s with the text %j uses indexes and reads few rows',
  async (state, at, q) => {
    await expectBounded(async (recorder) => {
      const clients = await findInState(recorder, 'clients', state, at.getTime());
      const listed = await listClients(recorder, { among: clients, q, limit: 200 });
      await findEndedUse(
        recorder,
        listed.map(({ client }) => client.id),
        at.getTime(),
      );
      const keys = await findInState(recorder, 'access_keys', state, at.getTime());
      await listAccessKeys(recorder, { among: keys, q, limit: 200, now: at });
    });
  },
);

// The planner reads a table from its beginning if every row matches, which a limit ends soon.
test.each(['acme', 'kti_777', '7777', 'nobody', '192.0.2', '198.51.100', 'p777@example.com', 'kti_'])(
  'searching everything for %j reads few rows',
  async (q) => {
    const nodes = await explain(database, (recorder) => search(recorder, q, date(86_400), 10));
    expect(nodes.length).toBeGreaterThan(0);
    expect(Math.max(...nodes.map(rowsRead))).toBeLessThan(4_100);
  },
);

test('the pages of audit events contain every event exactly once, latest first', async () => {
  const seen: number[] = [];
  let last: EventSlice['after'];
  do {
    const rows = await listAuditEvents(database, { limit: 3_000, action: 'client.create', after: last });
    const page = rows.slice(0, 3_000);
    seen.push(...page.map(({ seq }) => seq));
    last = rows.length > 3_000 ? page.at(-1) : undefined;
  } while (last);
  expect(seen).toHaveLength(24_900);
  expect(seen).toEqual([...new Set(seen)].sort((one, other) => other - one));
});

test('listing clients finds them by the beginnings of words in their name, or by any Client ID', async () => {
  const find = async (q: string) => (await listClients(database, { q, limit: 50 })).map(({ client }) => client.name);
  expect(await find('ACME 299')).toEqual(['Acme 299']);
  expect(await find('7777 part')).toEqual(['Partner 7777']);
  expect(await find('kti_778')).toEqual(['Partner 778']);
  expect(await find('nobody')).toEqual([]);
});

test('a search finds a word after each separator in one statement, if the newest rows have enough of them', async () => {
  const separators = [...' !"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~…\t\r\n', ''];
  await database.query(
    `INSERT INTO clients (id, client_id, kind, name, auth_method, created_at, updated_at)
     SELECT gen_random_uuid(), 'separated ' || n, 'integration', name, 'none', timestamptz '2027-01-01' + n * interval '1 s', now()
     FROM unnest($1::text[]) WITH ORDINALITY AS t (name, n)`,
    [[...separators.map((separator) => `${separator && 'left'}${separator}Zeta`), 'leftzeta']],
  );
  const statements: string[] = [];
  const query: Database['query'] = (sql, parameters) => {
    statements.push(sql);
    return database.query(sql, parameters);
  };
  const found = await listClients({ query } as Database, { q: 'ZETA', limit: separators.length - 1 });
  expect(found.map(({ client }) => client.name)).not.toContain('leftzeta');
  expect([found.length, statements.length]).toEqual([separators.length, 1]);
});

test('an index whose creation was interrupted is rebuilt while other transactions write', async () => {
  await askPostgres(url, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'audit_events_at'::regclass`);
  await askPostgres(url, 'DROP INDEX clients_words');
  let writes = 0;
  let building = true;
  const write = async () => {
    while (building) {
      writes += 1;
      await database.query('UPDATE clients SET revision = revision + 1 WHERE client_id = $1', [`kti_${writes}`]);
    }
  };
  const writing = write();
  await buildLargeIndexes(database);
  building = false;
  await writing;
  expect(writes).toBeGreaterThan(0);
  const valid = await askPostgres(
    url,
    `SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
     WHERE relname IN ('audit_events_at', 'clients_words') AND indisvalid ORDER BY relname`,
  );
  expect(valid.map(({ relname }) => relname)).toEqual(['audit_events_at', 'clients_words']);
});
