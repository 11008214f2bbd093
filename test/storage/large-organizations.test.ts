import { createHash } from 'node:crypto';
import { countAccessKeys, listAccessKeys } from '../../src/access-keys/access-key-store.ts';
import { findAttention } from '../../src/attention/attention.ts';
import { listExpirations } from '../../src/attention/expirations.ts';
import { findInState, states } from '../../src/attention/find-states.ts';
import { findOwnActors } from '../../src/audit/own-actors.ts';
import { listAuditEvents } from '../../src/audit/read-events.ts';
import { findKnownClient, listClients } from '../../src/clients/client-store.ts';
import { listContacts } from '../../src/contacts/contact-store.ts';
import { createLog } from '../../src/observability/log.ts';
import { countHoldings, listOrganizations } from '../../src/organizations/organization-store.ts';
import { findPosture } from '../../src/posture/find-posture.ts';
import { search } from '../../src/search/search.ts';
import type { Database, Queryable } from '../../src/storage/database.ts';
import { leaveOrganization, limitDatabase, withinOrganization } from '../../src/storage/organization-limit.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { askPostgres, createTestDatabase } from '../services.ts';
import { explain, rowsRead } from './explain.ts';

/** Two organizations with equal names and 20,000 clients, 4,000 contacts and 8,000 access keys each, and a small one beside them. */
const organizations = [
  '00000000-0000-4000-8000-00000000000a',
  '00000000-0000-4000-8000-00000000000b',
  '00000000-0000-4000-8000-00000000000c',
] as const;
const [own, other, small] = organizations;
/** A quarter of the clients are in a grace period, and another quarter were rejected with an ended secret. Every access key is unused and expires soon. */
const seed = (organization: string, letter: string, clients: number) => {
  // All rows of the organization "b" are newer than those of the others.
  const first = letter === 'b' ? '2025-01-02' : '2025-01-01';
  return `
  INSERT INTO organizations (id, name, created_at, updated_at) VALUES ('${organization}', 'Organization ${letter}', now(), now());
  INSERT INTO clients (id, client_id, kind, name, auth_method, organization, created_at, updated_at)
    SELECT md5('${letter}' || n)::uuid, 'kti_${letter}' || n || 'z', 'integration', CASE WHEN n <= 100 THEN 'Acme ' ELSE 'Partner ' END || n,
      'client_secret_basic', '${organization}', timestamptz '${first}' + n * interval '1 s', now() FROM generate_series(1, ${clients}) n;
  INSERT INTO client_ids SELECT client_id, id FROM clients WHERE organization = '${organization}';
  INSERT INTO contacts (id, name, email, organization, created_at, updated_at)
    SELECT md5('${letter}p' || n)::uuid, CASE WHEN n <= 100 THEN 'Acme ' ELSE 'Person ' END || n, 'p' || n || '@example.com', '${organization}',
      timestamptz '${first}' + n * interval '1 s', now() FROM generate_series(1, ${clients / 5}) n;
  INSERT INTO access_keys (id, contact, name, scope, created_at, updated_at, expires_at)
    SELECT md5('${letter}k' || n)::uuid, md5('${letter}p' || 1 + n % ${clients / 5})::uuid, 'Key ' || n, '{}', timestamptz '${first}' + n * interval '1 s', now(),
      timestamptz '2025-06-05' + n * interval '1 s'
    FROM generate_series(1, ${(clients * 2) / 5}) n;
  INSERT INTO secrets (id, client, client_id, generation, verifier, key_version, hint, created_at, retires_at)
    SELECT gen_random_uuid(), id, client_id, g, uuid_send(gen_random_uuid()), 'v1', right(md5(client_id), 4), created_at,
      CASE WHEN g = 1 AND hashtext(client_id) % 4 = 0 THEN timestamptz '2025-06-10' + (created_at - '2025-01-01') END
    FROM clients, generate_series(1, 2) g WHERE organization = '${organization}';
  INSERT INTO regenerations (id, client, old_secret, new_secret, finish_when_unused, revoke_tokens, created_at, created_by)
    SELECT gen_random_uuid(), old.client, old.id, new.id, false, false, old.created_at, 'op'
    FROM secrets old JOIN secrets new ON new.client = old.client AND new.generation = 2 JOIN clients c ON c.id = old.client
    WHERE old.retires_at IS NOT NULL AND c.organization = '${organization}';
  INSERT INTO usage_sources (owner, generation, address, user_agent, first_used_at, last_used_at, refused, refused_at, refused_as, expires_at)
    SELECT id, 1, '192.0.2.' || right(name, 1), 'sync', created_at, created_at, 1, timestamptz '2025-06-01' - (created_at - '2025-01-01'),
      CASE WHEN hashtext(client_id) % 4 = 1 THEN 'retired_secret' ELSE 'wrong_secret' END, now()
    FROM clients WHERE organization = '${organization}';
  INSERT INTO audit_events (seq, at, actor, actor_name, action, target_type, target, organization, key_version, mac)
    SELECT nextval('audit_order'), created_at, 'op', '', 'client.create', 'client', client_id, organization, 'v1', ''
    FROM clients WHERE organization = '${organization}'`;
};

let database: Database;
let limited: Database;
let url: string;

beforeAll(async () => {
  url = await createTestDatabase();
  const statements = [
    'CREATE SEQUENCE audit_order',
    ...seed(small, 'c', 40).split(';'),
    ...seed(own, 'a', 20_000).split(';'),
    ...seed(other, 'b', 20_000).split(';'),
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
    'contact Acme 77',
    'access_key Key 4076',
    'access_key Key 77',
    'access_key Key 76',
  ]);
  expect(await names('a11234')).toEqual(['integration Partner 11234']);
  expect(await names('11234Z')).toEqual(['integration Partner 11234']);
  expect(await names('b11234')).toEqual([]);
  const byAddress = await names('192.0.2.7');
  expect(byAddress).toHaveLength(51);
  expect(byAddress.filter((name) => !/^integration Partner \d*7$/.test(name))).toEqual([]);
});

/** Returns the MD5 of a text as a UUID. The seed makes ids so. */
const md5 = (text: string) =>
  createHash('md5')
    .update(text)
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
const page = { limit: 50 };
const at = new Date('2025-06-01T12:00:00Z');
const deps = { clock: () => at.getTime(), ttlSeconds: 3_600, signingKeyDays: 90 };
const viewer = { id: crypto.randomUUID(), permissions: ['api_key:manage'] as const };
const after = { value: new Date('2025-01-01T00:30:00Z'), id: '00000000-0000-0000-0000-000000000000' };
const unusedSince = new Date('2025-01-01T00:00:05Z');
const lists: Record<string, (queryable: Database) => Promise<unknown>> = {
  clients: (queryable) => listClients(queryable, page),
  'clients of a kind': (queryable) => listClients(queryable, { ...page, kind: 'integration' }),
  'clients by name': (queryable) => listClients(queryable, { ...page, sort: 'name' }),
  contacts: (queryable) => listContacts(queryable, page),
  'access keys': (queryable) => listAccessKeys(queryable, { ...page, now: at }),
  'access keys on a later page': (queryable) => listAccessKeys(queryable, { ...page, now: at, after }),
  'access keys by name': (queryable) => listAccessKeys(queryable, { ...page, now: at, sort: 'name' }),
  'enabled access keys': (queryable) => listAccessKeys(queryable, { ...page, now: at, status: 'enabled' }),
  'disabled access keys': (queryable) => listAccessKeys(queryable, { ...page, now: at, status: 'disabled' }),
  'expired access keys': (queryable) => listAccessKeys(queryable, { ...page, now: at, status: 'expired' }),
  'access keys without use': (queryable) => listAccessKeys(queryable, { ...page, now: at, unusedSince }),
  'access keys of all pages': (queryable) => countAccessKeys(queryable, { now: at }),
  'audit events': (queryable) => listAuditEvents(queryable, page),
  'actors of audit events': (queryable) =>
    findOwnActors(queryable, {
      ids: ['op', 'kti_a777z', md5('ap7'), md5('bp7')],
      names: ['Person 777', 'op', 'Partner 777'],
    }),
  organizations: (queryable) => listOrganizations(queryable, page),
  'numbers of organizations': (queryable) => countHoldings(queryable, organizations, 1_000),
  'one client': (queryable) => findKnownClient(queryable, 'kti_a777z'),
  'things that need attention': (queryable) => findAttention(queryable, deps, 10, viewer),
  'things that end': (queryable) => listExpirations(queryable, deps, { days: 90, limit: 50, after: undefined }),
  'things that end later': (queryable) =>
    listExpirations(queryable, deps, {
      days: 90,
      limit: 50,
      after: { kind: 'grace_period', at: new Date('2025-06-10T03:00:00Z'), order: after.id },
    }),
  ...Object.fromEntries(
    states.flatMap((state) =>
      (['clients', 'access_keys'] as const).map((table) => [
        `${table} in the state ${state}`,
        (queryable: Database) => findInState(queryable, table, state, at.getTime()),
      ]),
    ),
  ),
};

/** They are empty here, or have one row per organization, operator, published key, policy or webhook. */
const smallTables = new Set([
  'organizations',
  'operator_tokens',
  'signing_keys',
  'break_glass_uses',
  'policies',
  'webhooks',
  'approvals',
  'notice_deliveries',
  'client_keys',
  'usage_source_hours',
  'bounded_tokens',
  'access_key_scopes',
  'client_scopes',
]);
const inLargeAndSmall = Object.keys(lists).flatMap((name) => [
  [name, 'large', own] as const,
  [name, 'small', small] as const,
]);
test.each(inLargeAndSmall)(
  'the %s of a %s organization are read by index, without the rows of others',
  async (name, _, organization) => {
    const nodes = await withinOrganization(organization, () => explain(limited, lists[name] as (typeof lists)[string]));
    expect(nodes.length).toBeGreaterThan(0);
    const scanned = nodes
      .filter((node) => node['Node Type'] === 'Seq Scan')
      .map((node) => String(node['Relation Name']));
    expect(scanned.filter((table) => !smallTables.has(table))).toEqual([]);
    // At most 1,000 things of a state are counted, each with a row for its owner.
    expect(Math.max(...nodes.map(rowsRead))).toBeLessThan(2_100);
  },
);

test.each(organizations)(
  'the posture of the organization %s reads only its oldest 2,000 things of each kind',
  async (organization) => {
    const nodes = await withinOrganization(organization, () =>
      explain(limited, (queryable) => findPosture(queryable, at.getTime(), organization)),
    );
    const scanned = nodes
      .filter((node) => node['Node Type'] === 'Seq Scan')
      .map((node) => String(node['Relation Name']));
    expect(scanned.filter((table) => !smallTables.has(table))).toEqual([]);
    // Each client has two secrets.
    expect(Math.max(...nodes.map(rowsRead))).toBeLessThanOrEqual(4_000);
  },
);

test('a search by address says that it has not compared all things of a large organization', async () => {
  const unfinished = async (organization: string) => {
    const result = await withinOrganization(organization, () => search(limited, '192.0.2.7', now, 10));
    return [...result.unfinished];
  };
  expect(await unfinished(own)).toEqual(expect.arrayContaining(['integration', 'access_key']));
  expect(await unfinished(small)).toEqual([]);
});

test('the numbers of what belongs to organizations on a page are counted by index up to 1,000', async () => {
  let counted: Awaited<ReturnType<typeof countHoldings>> | undefined;
  const nodes = await explain(database, async (recorder) => {
    counted = await countHoldings(recorder, organizations, 1_000);
  });
  expect(nodes.filter((node) => node['Node Type'] === 'Seq Scan')).toEqual([]);
  expect(Math.max(...nodes.map(rowsRead))).toBeLessThanOrEqual(1_000 * organizations.length);
  expect(counted?.get(own)).toEqual({ integrations: 1_000, contacts: 1_000, accessKeys: 1_000 });
  expect(counted?.get(small)).toEqual({ integrations: 40, contacts: 8, accessKeys: 16 });
});

test('an actor belongs to an organization if it is a contact or client of it, or was one', async () => {
  const now = {
    ids: [md5('ap7'), md5('bp7'), 'kti_a777z', 'kti_b777z', 'deleted', 'op'],
    names: ['Person 777', 'Nobody', 'Former', 'op'],
  };
  await askPostgres(
    url,
    `INSERT INTO audit_events (seq, at, actor, actor_name, action, target_type, target, organization, key_version, mac)
     VALUES (nextval('audit_order'), now(), 'deleted', 'Former', 'client.create', 'client', 'kti_gone', '${own}', 'v1', ''),
       (nextval('audit_order'), now(), 'a stranger', 'Former', 'client.create', 'client', 'kti_gone', '${own}', 'v1', ''),
       (nextval('audit_order'), now(), 'op', 'op', 'contact.delete', 'contact', 'deleted', '${own}', 'v1', '')`,
  );
  const found = await withinOrganization(own, () => findOwnActors(limited, now));
  expect([[...found.ids].sort(), [...found.names].sort()]).toEqual([
    [md5('ap7'), 'deleted', 'kti_a777z'].sort(),
    ['Former', 'Person 777'],
  ]);
  const inOther = await withinOrganization(other, () => findOwnActors(limited, now));
  expect([[...inOther.ids].sort(), [...inOther.names].sort()]).toEqual([
    [md5('bp7'), 'kti_b777z'].sort(),
    ['Person 777'],
  ]);
});

test('an operator of an organization sees only what needs attention or ends in it', async () => {
  const seen = await withinOrganization(small, async () => ({
    attention: await findAttention(limited, deps, 50, viewer),
    ending: await listExpirations(limited, deps, { days: 90, limit: 50, after: undefined }),
  }));
  const [counted] = await askPostgres(
    url,
    `SELECT count(*) FILTER (WHERE hashtext(client_id) % 4 = 0)::int AS rotated, count(*) FILTER (WHERE hashtext(client_id) % 4 = 1)::int AS refused
     FROM clients WHERE organization = '${small}'`,
  );
  expect(seen.attention.counts).toEqual([
    { kind: 'refused_credential', count: counted?.['refused'] },
    { kind: 'grace_period_ending', count: counted?.['rotated'] },
    { kind: 'access_key_expiring', count: 16 },
    { kind: 'unused_client', count: 40 },
    { kind: 'unused_access_key', count: 16 },
  ]);
  expect(seen.ending).toHaveLength(16 + Number(counted?.['rotated']));
});
