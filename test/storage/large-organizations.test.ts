import { listAccessKeys } from '../../src/access-keys/access-key-store.ts';
import { listAuditEvents } from '../../src/audit/read-events.ts';
import { findKnownClient, listClients } from '../../src/clients/client-store.ts';
import { listContacts } from '../../src/contacts/contact-store.ts';
import { createLog } from '../../src/observability/log.ts';
import { search } from '../../src/search/search.ts';
import type { Database, Queryable } from '../../src/storage/database.ts';
import { leaveOrganization, limitDatabase, withinOrganization } from '../../src/storage/organization-limit.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { askPostgres, createTestDatabase } from '../services.ts';

/** Two organizations with equal names and 20,000 clients, 4,000 contacts and 8,000 access keys each. */
const organizations = ['00000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000b'] as const;
const [own, other] = organizations;
const seed = (organization: string, letter: string) => `
  INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('${organization}', 'Organization ${letter}', now(), now());
  INSERT INTO clients (id, client_id, kind, name, auth_method, organization, created_at, updated_at)
    SELECT md5('${letter}' || n)::uuid, 'kti_${letter}' || n || 'z', 'integration', CASE WHEN n <= 100 THEN 'Acme ' ELSE 'Partner ' END || n,
      'client_secret_basic', '${organization}', timestamptz '2025-01-01' + n * interval '1 s', now() FROM generate_series(1, 20000) n;
  INSERT INTO client_ids SELECT client_id, id FROM clients WHERE organization = '${organization}';
  INSERT INTO contacts (id, name, email, organization, created_at, updated_at)
    SELECT md5('${letter}p' || n)::uuid, CASE WHEN n <= 100 THEN 'Acme ' ELSE 'Person ' END || n, 'p' || n || '@example.com', '${organization}',
      timestamptz '2025-01-01' + n * interval '1 s', now() FROM generate_series(1, 4000) n;
  INSERT INTO access_keys (id, contact, name, scope, created_at, updated_at)
    SELECT md5('${letter}k' || n)::uuid, md5('${letter}p' || 1 + n % 4000)::uuid, 'Key ' || n, '{}', timestamptz '2025-01-01' + n * interval '1 s', now()
    FROM generate_series(1, 8000) n;
  INSERT INTO secrets (id, client, client_id, generation, verifier, key_version, hint, created_at)
    SELECT gen_random_uuid(), id, client_id, 1, uuid_send(gen_random_uuid()), 'v1', right(md5(client_id), 4), created_at
    FROM clients WHERE organization = '${organization}';
  INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, expires_at)
    SELECT id, 1, '192.0.2.' || right(name, 1), 'sync', created_at, created_at, 0, now() FROM clients WHERE organization = '${organization}';
  INSERT INTO audit_events (seq, at, actor, actor_name, action, target_type, target, organization, key_version, mac)
    SELECT nextval('audit_order'), created_at, 'op', '', 'client.create', 'client', client_id, organization, 'v1', ''
    FROM clients WHERE organization = '${organization}'`;

let database: Database;
let limited: Database;

beforeAll(async () => {
  const url = await createTestDatabase();
  const statements = [
    'CREATE SEQUENCE audit_order',
    ...seed(own, 'a').split(';'),
    ...seed(other, 'b').split(';'),
    'VACUUM ANALYZE',
  ];
  for (const statement of statements) await askPostgres(url, statement);
  database = connectPostgres({ connectionString: url, log: createLog('silent') });
  limited = limitDatabase(database);
});
afterAll(() => database.close());

/** The numbers of a session can contain those of earlier transactions. */
async function countReads(queryable: Queryable): Promise<number> {
  const [row] = await queryable.query<{ rows: number }>(
    'SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint AS rows FROM pg_stat_xact_user_tables',
  );
  return row?.rows ?? 0;
}

/** Runs a list for an operator of an organization. Returns its result, and how many rows of all tables it has read. */
async function read<T>(list: (queryable: Queryable) => Promise<T>, organization: string = own): Promise<[T, number]> {
  return await withinOrganization(organization, () =>
    limited.transaction(async (transaction) => {
      const before = await countReads(transaction);
      const result = await list(transaction);
      await leaveOrganization(transaction);
      return [result, (await countReads(transaction)) - before];
    }),
  );
}

const now = new Date('2025-02-01T00:00:00Z');
const texts = ['acme', 'nobody', 'partner', '7777', 'kti_a777', '777z', '192.0.2.7', '198.51', 'p777@example.com'];
test.each(texts)(
  'a search of an operator for %j reads few rows, and finds nothing of another organization',
  async (q) => {
    const [result, rows] = await read((queryable) => search(queryable, q, now, 10));
    expect(rows).toBeLessThan(80_000);
    const [same] = await read((queryable) => search(queryable, q, now, 10), other);
    const ids = new Set(same.found.map(({ id }) => id));
    expect(result.found.filter(({ id }) => ids.has(id))).toEqual([]);
  },
);

test('a search of an operator finds things by rare words and by parts of Client IDs and addresses', async () => {
  const find = async (q: string) => (await read((queryable) => search(queryable, q, now, 50)))[0].found;
  const names = async (q: string) => (await find(q)).map(({ kind, name }) => `${kind} ${name}`);
  expect(await names('acme 77')).toEqual([
    'integration Acme 77',
    'access_key Key 4076',
    'access_key Key 77',
    'access_key Key 76',
    'contact Acme 77',
  ]);
  expect(await names('a11234')).toEqual(['integration Partner 11234']);
  expect(await names('11234Z')).toEqual(['integration Partner 11234']);
  expect(await names('b11234')).toEqual([]);
  const byAddress = await names('192.0.2.7');
  expect(byAddress).toHaveLength(51);
  expect(byAddress.filter((name) => !/^integration Partner \d*7$/.test(name))).toEqual([]);
});

const page = { limit: 50 };
const lists: Record<string, (queryable: Queryable) => Promise<unknown>> = {
  clients: (queryable) => listClients(queryable, page),
  'clients of a kind': (queryable) => listClients(queryable, { ...page, kind: 'integration' }),
  'clients by name': (queryable) => listClients(queryable, { ...page, sort: 'name' }),
  contacts: (queryable) => listContacts(queryable, page),
  'access keys': (queryable) => listAccessKeys(queryable, { ...page, now }),
  'audit events': (queryable) => listAuditEvents(queryable, page),
  'one client': (queryable) => findKnownClient(queryable, 'kti_a777z'),
};
test.each(Object.keys(lists))('the %s of a large organization are read without all of its rows', async (name) => {
  const [result, rows] = await read(lists[name] as (typeof lists)[string]);
  expect(result).toBeTruthy();
  expect(rows).toBeLessThan(10_000);
});
