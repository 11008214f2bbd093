import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findKnownClients } from '../../src/clients/client-store.ts';
import { createLog } from '../../src/observability/log.ts';
import { migrate } from '../../src/storage/migrations.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { runCommand } from '../cli/run-command.ts';
import { endpointsOf, inactive, registerAll } from '../oauth/fixture.ts';
import { askPostgres, createEmptyTestDatabase, createTestDatabase, createTestRedis } from '../services.ts';

const password = generateRootKey().replace(/\W/g, '');
const log = createLog('silent');
const names = ['keyturn_migrate', 'keyturn_serve', 'keyturn_token'] as const;
let owner: string;
let handedOver: string;
let roles: string;
let server: AdminServer;
let clients: Awaited<ReturnType<typeof registerAll>>;

function as(role: (typeof names)[number], database = owner): string {
  const url = new URL(database);
  url.username = role;
  url.password = password;
  return url.href;
}

async function setPasswords(): Promise<void> {
  for (const role of names) {
    await askPostgres(owner, `ALTER ROLE ${role} PASSWORD '${password}'`);
  }
}

beforeAll(async () => {
  [owner, handedOver] = await Promise.all([createEmptyTestDatabase(), createTestDatabase()]);
  roles = await readFile('deploy/postgres/roles.sql', 'utf8');
  await askPostgres(owner, roles);
  await setPasswords();
  const database = connectPostgres({ connectionString: as('keyturn_migrate'), log });
  await migrate(database);
  await database.close();
  const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
  let behindMs = 60 * 86_400_000;
  server = await startAdminServer({
    // The first audit events are old enough to be archived.
    clock: () => Date.now() - behindMs,
    stores: { databaseUrl: as('keyturn_serve'), redisUrl, redisPrefix, rootKey: generateRootKey() },
  });
  behindMs = 0;
  clients = await registerAll(server.core);
});

afterAll(async () => {
  await server?.close();
  // Roles belong to the whole server, and can be dropped only when no database uses them.
  for (const database of [owner, handedOver]) {
    for (const role of names) await askPostgres(database, `DROP OWNED BY ${role} CASCADE`);
  }
  await askPostgres(owner, `DROP ROLE ${names}`);
});

test('keyturn_serve can run every main feature if roles.sql was run once before the first migration', async () => {
  const { adminFetch, publicUrl } = server;
  const api = endpointsOf(publicUrl);
  const post = async (path: string, body: object, status: number) => {
    const answer = await adminFetch(path, { method: 'POST', body });
    expect([path, answer.status, answer.text]).toEqual([path, status, answer.text]);
    return answer.json;
  };
  const token = await api.accessToken(clients.shop);
  expect((await api.introspect(clients.orders, token)).json).toMatchObject({ active: true });
  expect((await api.revoke(clients.shop, token)).status).toBe(200);
  expect((await api.introspect(clients.orders, token)).text).toBe(inactive);

  const contact = await post('/contacts', { name: 'Partner', email: 'p@example.com' }, 201);
  const key = await post(`/contacts/${contact.id}/access-keys`, { name: 'K', permissions: { orders: ['read'] } }, 201);
  expect((await api.token(clients.shop, { access_key: key.access_key })).status).toBe(200);
  const { confirmation } = await post(`/clients/${clients.shop.id}/regeneration/review`, {}, 200);
  const regenerated = await post(`/clients/${clients.shop.id}/regenerate`, { confirmation }, 201);
  expect((await api.token({ id: clients.shop.id, secret: regenerated.client_secret })).status).toBe(200);
  const revealed = await post(`/clients/${clients.shop.id}/secret/reveal`, {}, 200);
  expect(JSON.stringify(revealed)).toContain(regenerated.client_secret);
  await post(`/clients/${clients.bare.id}/disable`, {}, 200);
  expect((await adminFetch(`/clients/${clients.bare.id}`, { method: 'DELETE' })).status).toBe(204);
  expect((await adminFetch('/audit-events')).json.data.length).toBeGreaterThan(5);
  await server.core.usage.flush();
  expect((await adminFetch(`/clients/${clients.shop.id}/usage?hours=1`)).status).toBe(200);
});

const forbidden = [
  ['keyturn_serve', 'UPDATE audit_events SET actor = $$nobody$$'],
  ['keyturn_serve', 'DELETE FROM audit_events'],
  ['keyturn_serve', 'TRUNCATE audit_events'],
  ['keyturn_serve', 'SET ROLE keyturn_organization; UPDATE audit_events SET actor = $$nobody$$'],
  ['keyturn_serve', 'SET ROLE keyturn_organization; DELETE FROM audit_events'],
  ['keyturn_serve', 'ALTER TABLE audit_events DISABLE TRIGGER audit_events_append_only'],
  ['keyturn_serve', 'DELETE FROM audit_anchor'],
  ['keyturn_serve', 'DELETE FROM audit_checkpoints'],
  ['keyturn_serve', 'UPDATE audit_checkpoints SET seq = 0'],
  ['keyturn_serve', 'INSERT INTO audit_archives SELECT * FROM audit_archives'],
  ['keyturn_serve', 'DELETE FROM audit_archives'],
  ['keyturn_serve', 'UPDATE audit_anchor SET seq = seq - 1'],
  ['keyturn_serve', 'ALTER TABLE audit_anchor DISABLE TRIGGER ALL'],
  ['keyturn_serve', 'DROP TABLE audit_events'],
  ['keyturn_serve', 'CREATE TABLE more (id integer)'],
  ['keyturn_serve', 'UPDATE migrations SET version = 0'],
  // `keyturn migrate` runs its conditions as SQL.
  ['keyturn_serve', 'UPDATE organization_limits SET condition = $$true$$'],
  ['keyturn_token', 'SELECT sealed FROM secrets'],
  ['keyturn_token', 'SELECT * FROM secrets'],
  ['keyturn_token', 'SELECT sealed FROM signing_keys'],
  ['keyturn_token', 'SELECT * FROM operator_tokens'],
  ['keyturn_token', 'SELECT * FROM audit_events'],
  ['keyturn_token', 'SELECT * FROM idempotency_keys'],
  ['keyturn_token', 'UPDATE clients SET enabled = true'],
  ['keyturn_token', 'SET default_transaction_read_only = off; UPDATE clients SET enabled = true'],
] as const;

async function expectForbidden(role: (typeof names)[number], sql: string, database = owner): Promise<void> {
  await expect(askPostgres(as(role, database), sql)).rejects.toThrow(
    /permission denied|must be owner|read-only transaction|only moves forward/,
  );
}

test.each(forbidden)('%s has no permission for: %s', (role, sql) => expectForbidden(role, sql));

test('keyturn audit archive needs keyturn_migrate', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'keyturn-roles-')), 'archive.jsonl');
  const before = new Date(Date.now() - 31 * 86_400_000).toISOString();
  const archive = (role: (typeof names)[number]) =>
    runCommand(['audit', 'archive', '--before', before, '--to', file], {
      DATABASE_URL: as(role),
      KEYTURN_ROOT_KEY: server.stores.rootKey ?? '',
    });
  expect(await archive('keyturn_serve')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('The database user keyturn_serve must not delete audit events.'),
  });
  expect(await archive('keyturn_migrate')).toMatchObject({ code: 0 });
});

test('roles.sql transfers a database that a superuser has migrated, with the same restrictions', async () => {
  await askPostgres(handedOver, roles);
  for (const [role, sql] of forbidden) await expectForbidden(role, sql, handedOver);
  const [tables] = await askPostgres(
    handedOver,
    `SELECT count(*) FILTER (WHERE tableowner <> 'keyturn_migrate')::int AS others FROM pg_tables WHERE schemaname = 'public'`,
  );
  expect(tables).toEqual({ others: 0 });
});

test('keyturn_token can read what a token request depends on', async () => {
  const database = connectPostgres({ connectionString: as('keyturn_token'), log });
  const found = await findKnownClients(database, [clients.shop.id]);
  expect(found.get(clients.shop.id)?.secrets.length).toBe(2);
  await database.close();
});

test('keyturn_serve limits operators of an organization to what belongs to it', async () => {
  const { adminFetch } = server;
  const post = async (path: string, body: object) => (await adminFetch(path, { method: 'POST', body })).json;
  const { id: organization } = await post('/organizations', { name: 'Acme' });
  const { client_id: own } = await post('/clients', {
    name: 'Own',
    kind: 'integration',
    organization_id: organization,
  });
  const permissions = ['integrations:view', 'contacts:manage'];
  const ann = { name: 'Ann', email: 'ann@example.com', organization_id: organization, permissions };
  const { id } = await post('/contacts', ann);
  const { operator_token: token } = await post(`/contacts/${id}/operator-token`, {});
  const { json } = await adminFetch('/clients', { token });
  expect(json.data.map((client: { client_id: string }) => client.client_id)).toEqual([own]);
  expect((await adminFetch(`/clients/${clients.shop.id}`, { token })).status).toBe(404);
  const body = { name: 'Bo', email: 'bo@example.com' };
  expect((await adminFetch('/contacts', { method: 'POST', body, token })).status).toBe(201);
});

test('keyturn migrate restores the limits of organizations if the role that they apply to had been dropped', async () => {
  const database = connectPostgres({ connectionString: await createTestDatabase(), log });
  const limits = () =>
    database.query(
      `SELECT tablename, policyname, qual FROM pg_policies WHERE roles = '{keyturn_organization}' ORDER BY 1, 2`,
    );
  const before = await limits();
  expect(before.length).toBeGreaterThan(30);
  await database.run('DROP OWNED BY keyturn_organization');
  expect(await limits()).toEqual([]);
  await migrate(database);
  expect(await limits()).toEqual(before);
  await database.close();
});
