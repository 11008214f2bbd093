import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateClientId, generateSecret, hintOf } from '../../src/credentials/credential-format.ts';
import { createKeyRing } from '../../src/credentials/key-ring.ts';
import { createVerifier } from '../../src/credentials/verifier.ts';
import { createLog } from '../../src/observability/log.ts';
import type { Database } from '../../src/storage/database.ts';
import { indexes, migrate, requireMigrated } from '../../src/storage/migrations.ts';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { startAdminServer } from '../admin/admin-server.ts';
import { startLoad, zeros } from '../faults/load.ts';
import { createTestStores } from '../harness.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { copyTestDatabase, createEmptyTestDatabase, createTestDatabase, createTestRedis } from '../services.ts';
import { migrateTo, migrations } from './migrate-to.ts';

const log = createLog('silent');
const levels = readdirSync(migrations)
  .map((name) => Number.parseInt(name, 10))
  .sort((left, right) => left - right);
const latest = levels.at(-1) ?? 0;
const rootKey = generateRootKey();
const ring = createKeyRing(rootKey);

/**
 * Number of a simulated migration of the next version. It only adds to the schema, as every migration of a version
 * must.
 */
const nextVersion = latest + 1;
const expansion = `
  ALTER TABLE clients ADD of_the_next_version text;
  ALTER TABLE secrets ADD of_the_next_version jsonb NOT NULL DEFAULT '{}';
  CREATE INDEX clients_of_the_next_version ON clients (of_the_next_version);
  CREATE TABLE of_the_next_version (id uuid PRIMARY KEY, client uuid REFERENCES clients ON DELETE CASCADE);`;

let withNextVersion: string;
let newSchema: unknown;
/** URL of a database without data that is migrated step by step. */
let stepwise: string;

beforeAll(async () => {
  const fresh = connectPostgres({ connectionString: await createTestDatabase(), log });
  newSchema = await schemaOf(fresh);
  await fresh.close();
  stepwise = await createEmptyTestDatabase();
  withNextVersion = mkdtempSync(join(tmpdir(), 'keyturn-test-'));
  cpSync(migrations, withNextVersion, { recursive: true });
  writeFileSync(join(withNextVersion, `${String(nextVersion).padStart(4, '0')}.do.next-version.sql`), expansion);
});

afterAll(() => rmSync(withNextVersion, { recursive: true, force: true }));

/** Builds the indexes that are not part of a migration, as far as their columns exist. */
async function buildIndexesOf(database: Database): Promise<void> {
  for (const [name, table, definition] of indexes) {
    await database
      .run(`CREATE INDEX IF NOT EXISTS ${name} ON ${table} ${definition}`)
      .catch((error: { code?: string }) => {
        // A column, a table or a function does not exist yet.
        if (!['42703', '42P01', '42883'].includes(error.code ?? '')) throw error;
      });
  }
}

async function openEmpty(): Promise<{ databaseUrl: string; database: Database }> {
  const databaseUrl = await createEmptyTestDatabase();
  return { databaseUrl, database: connectPostgres({ connectionString: databaseUrl, log }) };
}

/** Opens a database at the given migration. The levels are asked in order, and each continues from the one before. */
async function openAt(level: number): Promise<{ databaseUrl: string; database: Database }> {
  const before = connectPostgres({ connectionString: stepwise, log });
  await migrateTo(before, level);
  await before.close();
  const databaseUrl = await copyTestDatabase(stepwise);
  return { databaseUrl, database: connectPostgres({ connectionString: databaseUrl, log }) };
}

describe.each(levels.slice(0, -1))('a database at migration %i with data of that time', (level) => {
  it('is rejected with the command to run, gets the schema of a new database, and keeps all credentials valid', async () => {
    const { databaseUrl, database } = await openAt(level);
    await buildIndexesOf(database);
    const people = await populate(database);
    await expect(requireMigrated(database)).rejects.toThrow('keyturn migrate');
    expect((await migrate(database)).map((name) => Number.parseInt(name, 10))).toEqual(
      levels.filter((each) => each > level),
    );
    await requireMigrated(database);
    expect(await schemaOf(database)).toEqual(newSchema);
    await database.close();

    const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
    const server = await startAdminServer({ stores: { databaseUrl, redisUrl, redisPrefix, rootKey } });
    const api = endpointsOf(server.publicUrl);
    const { json } = await api.token(people.integration, { access_key: people.accessKey });
    expect(json).toMatchObject({ token_type: 'Bearer', scope: 'orders:read' });
    expect((await api.introspect(people.api, json['access_token'] as string)).json).toMatchObject({
      active: true,
      client_id: people.integration.id,
      scope: 'orders:read',
    });
    const shown = await server.adminFetch(`/clients/${people.integration.id}`, { token: people.operatorToken });
    expect(shown).toMatchObject({ status: 200, json: { name: 'Of old', status: 'enabled' } });
    const keys = await server.adminFetch('/access-keys?q=ware', { token: people.operatorToken });
    expect(keys.json.data).toMatchObject([{ name: 'Warehouse' }]);
    await server.close();
  });
});

it('migrates a database of the version before, with the indexes that `keyturn migrate` builds outside of migrations', async () => {
  const { database } = await openEmpty();
  await migrateTo(database, 23);
  // The indexes that the version with migration 23 builds.
  const words = 'array_to_tsvector(words_of(name))';
  for (const [name, on] of [
    ['clients_by_kind', 'clients (kind, created_at DESC, id DESC)'],
    ['clients_by_status', 'clients (enabled, created_at DESC, id DESC)'],
    ['clients_words', `clients USING gin (${words})`],
    ['contacts_words', `contacts USING gin (${words})`],
    ['audit_events_at', 'audit_events (at DESC, seq DESC)'],
    ['audit_events_target', 'audit_events (target, at DESC, seq DESC)'],
    ['audit_events_action', 'audit_events (action, at DESC, seq DESC)'],
    ['audit_events_actor', 'audit_events (actor, at DESC, seq DESC)'],
    ['audit_events_actor_action', 'audit_events (actor, action, at DESC, seq DESC)'],
  ]) {
    await database.run(`CREATE INDEX ${name} ON ${on}`);
  }
  await migrate(database);
  await requireMigrated(database);
  await database.close();
});

it('this version serves without a failed request while the next one migrates, and starts afterwards', async () => {
  const stores = { ...(await createTestStores()), rootKey };
  const load = await startLoad({ stores });
  const database = connectPostgres({ connectionString: stores.databaseUrl, log });
  const outcome = await load.during('the next version migrates', () =>
    migrateTo(database, nextVersion, withNextVersion),
  );
  expect(outcome).toMatchObject({ ...zeros, unavailable: 0 });
  await requireMigrated(database);
  // This covers a return to this version, and a pod of this version that restarts during a rollout.
  const again = await startAdminServer({ stores });
  expect(
    (await again.adminFetch('/clients', { method: 'POST', body: { name: 'X', kind: 'integration' } })).status,
  ).toBe(201);
  await again.close();
  await load.close();
  await database.close();
});

it('keyturn migrate of this version leaves the schema of the next one unchanged', async () => {
  const { database } = await openEmpty();
  await migrate(database);
  await migrateTo(database, nextVersion, withNextVersion);
  const before = await schemaOf(database);
  expect(await migrate(database)).toEqual([]);
  expect(await schemaOf(database)).toEqual(before);
  expect(await database.query('SELECT max(version)::int AS version FROM migrations')).toEqual([
    { version: nextVersion },
  ]);
  await database.close();
});

type People = {
  integration: { id: string; secret: string };
  api: { id: string; secret: string };
  accessKey: string;
  operatorToken: string;
};

/** Creates data that the first version could store, without columns that later versions have added. */
async function populate(database: Database): Promise<People> {
  const now = new Date();
  const insert = (table: string, row: Record<string, unknown>) => {
    const names = Object.keys(row);
    const places = names.map((_, index) => `$${index + 1}`);
    return database.query(`INSERT INTO ${table} (${names}) VALUES (${places})`, Object.values(row));
  };
  const dates = { created_at: now, updated_at: now };
  const client = async (row: Record<string, unknown>) => {
    const [id, clientId, secret] = [randomUUID(), generateClientId(), generateSecret('kts_')];
    await insert('clients', { id, client_id: clientId, auth_method: 'client_secret_basic', ...dates, ...row });
    await insert('client_ids', { client_id: clientId, client: id });
    const { verifier, keyVersion } = createVerifier(ring, 'client-secret-pepper', secret);
    const kept = { verifier, key_version: keyVersion, hint: hintOf(secret), created_at: now, generation: 1 };
    await insert('secrets', { id: randomUUID(), client: id, client_id: clientId, ...kept });
    return { id: clientId, secret };
  };
  const integration = await client({ kind: 'integration', name: 'Of old', scope: ['orders:read', 'orders:create'] });
  const resource = { resource: 'https://api.example.com', information: ['orders'], token_format: 'opaque' };
  const api = await client({ kind: 'resource_server', name: 'API', ...resource });

  const [contact, key, accessKey, operatorToken] = [
    randomUUID(),
    randomUUID(),
    generateSecret('ktk_'),
    generateSecret('kto_'),
  ];
  const permissions = ['integrations:view', 'api_key:manage'];
  await insert('contacts', { id: contact, name: 'Ann', email: 'ann@example.com', permissions, ...dates });
  await insert('access_keys', { id: key, contact, name: 'Warehouse', scope: ['orders:read'], ...dates });
  const ofKey = createVerifier(ring, 'access-key-pepper', accessKey);
  const value = { verifier: ofKey.verifier, key_version: ofKey.keyVersion, hint: hintOf(accessKey), created_at: now };
  await insert('secrets', { id: randomUUID(), access_key: key, generation: 1, ...value });
  const ofOperator = createVerifier(ring, 'operator-token-pepper', operatorToken);
  const token = { verifier: ofOperator.verifier, key_version: ofOperator.keyVersion, hint: hintOf(operatorToken) };
  await insert('operator_tokens', { contact, ...token, created_at: now });
  return { integration, api, accessKey, operatorToken };
}

/** Returns columns, indexes, constraints, functions and triggers. */
async function schemaOf(database: Database): Promise<unknown> {
  const own = `relnamespace = 'public'::regnamespace`;
  return await Promise.all([
    database.query(
      `SELECT relname, attname, format_type(atttypid, atttypmod) AS type, attnotnull, pg_get_expr(adbin, adrelid) AS value
       FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
       WHERE ${own} AND attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'v') ORDER BY relname, attname`,
    ),
    database.query(`SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname`),
    database.query(
      `SELECT conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
       WHERE connamespace = 'public'::regnamespace ORDER BY conrelid::regclass::text, conname`,
    ),
    database.query(`SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY proname`),
    database.query(
      `SELECT pg_get_triggerdef(pg_trigger.oid) AS definition FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
       WHERE ${own} AND NOT tgisinternal ORDER BY definition`,
    ),
  ]);
}
