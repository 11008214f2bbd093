import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { UsageError } from '../../src/errors.ts';
import { createLog } from '../../src/observability/log.ts';
import type { Database } from '../../src/storage/database.ts';
import { openEmbeddedPostgres } from '../../src/storage/embedded-postgres.ts';
import { migrate, requireMigrated } from '../../src/storage/migrations.ts';
import { connectPostgres } from '../../src/storage/postgres.ts';
import { askPostgres, createEmptyTestDatabase, createTestDatabase } from '../services.ts';

const log = createLog('silent');
const root = fileURLToPath(new URL('../../', import.meta.url));
const migrations = readdirSync(`${root}sql`).sort();

describe.each(['PostgreSQL', 'embedded PostgreSQL'])('the schema check of %s', (engine) => {
  let database: Database;

  beforeAll(async () => {
    database =
      engine === 'PostgreSQL'
        ? connectPostgres({ connectionString: await createEmptyTestDatabase(), log })
        : await openEmbeddedPostgres('memory');
  });
  afterAll(() => database.close());

  test('rejects an empty database with the command to run, and accepts it after one migration', async () => {
    await expect(requireMigrated(database)).rejects.toThrow(UsageError);
    await expect(requireMigrated(database)).rejects.toThrow('keyturn migrate');
    expect((await migrate(database)).map((name) => basename(name))).toEqual(migrations);
    await requireMigrated(database);
    expect(await migrate(database)).toEqual([]);
  });

  test('rejects a database that lacks the last migration', async () => {
    await database.query('DELETE FROM migrations WHERE version = (SELECT max(version) FROM migrations)');
    await expect(requireMigrated(database)).rejects.toThrow('keyturn migrate');
  });
});

test('ten processes that migrate an empty database at once apply each migration once', async () => {
  const url = await createEmptyTestDatabase();
  const script = `
    import { createLog } from './src/observability/log.ts';
    import { migrate } from './src/storage/migrations.ts';
    import { connectPostgres } from './src/storage/postgres.ts';
    const database = connectPostgres({ connectionString: process.env.TEST_URL, log: createLog('silent') });
    console.log(JSON.stringify(await migrate(database)));
    await database.close();`;
  const run = () =>
    promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: root,
      env: { ...process.env, TEST_URL: url },
    });
  const outputs = await Promise.all(Array.from({ length: 10 }, run));
  const applied = outputs.map(({ stdout }) => (JSON.parse(stdout) as string[]).map((name) => basename(name)));
  expect(applied.filter((names) => names.length > 0)).toEqual([migrations]);
  const rows = await askPostgres(
    url,
    'SELECT version, count(*)::int AS times FROM migrations GROUP BY 1 HAVING count(*) > 1',
  );
  expect(rows).toEqual([]);
});

test('a migration that fails leaves the database unchanged', async () => {
  const url = await createEmptyTestDatabase();
  await askPostgres(url, 'CREATE TABLE clients (in_the_way int)');
  const database = connectPostgres({ connectionString: url, log });
  await expect(migrate(database)).rejects.toThrow('clients');
  await expect(requireMigrated(database)).rejects.toThrow('keyturn migrate');
  const tables = await database.query(`SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`);
  expect(tables).toEqual([{ relname: 'clients' }]);
  await database.close();
});

test('a database created from the template of the test run is migrated', async () => {
  const database = connectPostgres({ connectionString: await createTestDatabase(), log });
  await requireMigrated(database);
  await database.close();
});
