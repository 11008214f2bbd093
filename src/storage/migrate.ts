import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import Postgrator from 'postgrator';
import { UsageError } from '../errors.ts';
import { buildLargeIndexes, buildSmallIndexes } from './build-indexes.ts';
import type { Database } from './database.ts';

const directory = fileURLToPath(new URL('../../sql/', import.meta.url));

/** Arbitrary number of the advisory lock with which only one process migrates at a time. */
const advisoryLock = 0x6b_65_79_74;

/** Brings the schema up to date. Returns the names of the migrations that it applied. */
export async function migrate(database: Database): Promise<string[]> {
  const names = await database.transaction(async (transaction) => {
    await transaction.run(`SELECT pg_advisory_xact_lock(${advisoryLock})`);
    const postgrator = new Postgrator({
      migrationPattern: `${directory}*.sql`,
      driver: 'pg',
      schemaTable: 'migrations',
      execQuery: async (query) => ({ rows: await transaction.query(query) }),
      execSqlScript: (script) => transaction.run(script),
    });
    const applied = await postgrator.migrate();
    await buildSmallIndexes(transaction);
    return applied.map(({ filename }) => basename(filename));
  });
  await buildLargeIndexes(database);
  return names;
}

/** @throws {UsageError} if the schema is missing or older than this version requires. */
export async function requireMigrated(database: Database): Promise<void> {
  const expected = await latestVersion();
  const [table] = await database.query<{ found: string | null }>(`SELECT to_regclass('migrations')::text AS found`);
  const [row] = table?.found
    ? await database.query<{ version: number }>('SELECT max(version) AS version FROM migrations')
    : [];
  if (!row || Number(row.version) < expected) {
    throw new UsageError('The database is not migrated. Run `keyturn migrate` once, then start again.');
  }
}

async function latestVersion(): Promise<number> {
  if (!existsSync(directory)) throw new UsageError(`The migrations are missing: ${directory}`);
  const versions = (await readdir(directory)).map((name) => Number.parseInt(name, 10)).filter(Number.isInteger);
  return Math.max(...versions);
}
