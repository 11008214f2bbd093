import { readConfig } from '../src/config.ts';
import { type Core, openCore } from '../src/core.ts';
import { createLog } from '../src/observability/log.ts';
import { migrate } from '../src/storage/migrations.ts';
import { generateRootKey } from '../src/storage/open-database.ts';
import { connectPostgres } from '../src/storage/postgres.ts';
import { askPostgres, urlOfDatabase } from '../test/services.ts';

/** A migrated database of its own, opened, with the environment of a server on it. */
export type BenchDatabase = { env: Record<string, string>; core: Core; remove(): Promise<void> };

/** @param suffix distinguishes the databases of one process. @param more further variables of the environment. */
export async function createBenchDatabase(
  stores: { databaseUrl: string; redisUrl: string },
  suffix = '',
  more: Record<string, string> = {},
): Promise<BenchDatabase> {
  const name = `keyturn_bench_${process.pid}${suffix}`;
  await askPostgres(stores.databaseUrl, `CREATE DATABASE ${name}`);
  const env = {
    DATABASE_URL: urlOfDatabase(stores.databaseUrl, name),
    REDIS_URL: stores.redisUrl,
    KEYTURN_ROOT_KEY: generateRootKey(),
    KEYTURN_HOST: '127.0.0.1',
    KEYTURN_ALLOWED_HOSTS: '127.0.0.1',
    // The limit counts but never refuses, because a refusal costs less than the work that is measured.
    KEYTURN_FAILURES_PER_MINUTE: '1000000',
    ...more,
  };
  const log = createLog('warn', 2);
  const database = connectPostgres({ connectionString: env.DATABASE_URL, log });
  await migrate(database);
  await database.close();
  return {
    env,
    core: await openCore(readConfig(env), log),
    remove: async () => {
      await askPostgres(stores.databaseUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}
