import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config.ts';
import { UsageError } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import type { Database } from './database.ts';
import { migrate, requireMigrated } from './migrations.ts';
import { connectPostgres } from './postgres.ts';

/** Connects to the configured database without checking its schema, for `migrate` and `doctor`. */
export async function connectDatabase(config: Config, log: Log): Promise<Database> {
  if (config.databaseUrl) return connectPostgres({ connectionString: config.databaseUrl, log });
  // Loaded on demand: its WebAssembly is larger than everything else together.
  const { openEmbeddedPostgres } = await import('./embedded-postgres.ts');
  return await openEmbeddedPostgres(config.dataDir);
}

/**
 * Returns the time limit of `openDatabase` in milliseconds; undefined for the usual one of a start. The embedded database
 * waits for no other process, but migrates in this one: in 5 s at the first start, in minutes on a busy machine or with
 * much data. Starting again would only repeat the work.
 */
export function limitOfOpening({ databaseUrl }: Config): number | undefined {
  return databaseUrl === undefined ? 600_000 : undefined;
}

/**
 * Opens the configured database, ready to serve. The embedded one migrates itself.
 * @throws {UsageError} if a database over the network is not migrated.
 */
export async function openDatabase(config: Config, log: Log): Promise<Database> {
  const database = await connectDatabase(config, log);
  try {
    if (config.databaseUrl) await requireMigrated(database);
    else await migrate(database);
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

/**
 * Returns the configured root key. The embedded store has its own, created at the first start and readable by its owner
 * only.
 */
export async function readRootKey(config: Config): Promise<string> {
  if (config.rootKey) return config.rootKey;
  if (config.databaseUrl) throw new UsageError('KEYTURN_ROOT_KEY is required with DATABASE_URL');
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const file = join(config.dataDir, 'root-key');
  // "wx" fails if the file exists, so two first starts at once agree on one key.
  await writeFile(file, `${generateRootKey()}\n`, { flag: 'wx', mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return (await readFile(file, 'utf8')).trim();
}

/** Generates a root key in the form of `KEYTURN_ROOT_KEY`: version and 32 random bytes. */
export function generateRootKey(version = 'v1'): string {
  return `${version}:${randomBytes(32).toString('base64')}`;
}
