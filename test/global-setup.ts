import { randomBytes } from 'node:crypto';
import { createLog } from '../src/observability/log.ts';
import { migrate } from '../src/storage/migrations.ts';
import { connectPostgres } from '../src/storage/postgres.ts';
import { askPostgres, startServices, templateName, urlOfDatabase } from './services.ts';

/** Starts the stores of a test run and creates the migrated template database that each test file copies. */
export default async function globalSetup(): Promise<void> {
  const services = await startServices((line) => process.stderr.write(`${line}\n`));
  const run = `keyturn_test_${randomBytes(6).toString('hex')}`;
  Object.assign(process.env, {
    TEST_RUN: run,
    TEST_DATABASE_URL: services.databaseUrl,
    TEST_REDIS_URL: services.redisUrl,
  });
  Object.assign(globalThis, { keyturnTestServices: services });
  await askPostgres(services.databaseUrl, `CREATE DATABASE ${templateName()}`);
  const database = connectPostgres({
    connectionString: urlOfDatabase(services.databaseUrl, templateName()),
    log: createLog('silent'),
  });
  await migrate(database);
  await database.close();
}
