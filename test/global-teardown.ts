import { Redis } from 'ioredis';
import { askPostgres, type Services } from './services.ts';

/** Stops the stores that the run started; those that existed before stay as they were. */
export default async function globalTeardown(): Promise<void> {
  const { keyturnTestServices: services } = globalThis as unknown as { keyturnTestServices: Services };
  const run = process.env['TEST_RUN'];
  if (run) await Promise.all([dropDatabases(services.databaseUrl, run), removeKeys(services.redisUrl, run)]);
  await services.stop();
}

async function dropDatabases(url: string, run: string): Promise<void> {
  const rows = await askPostgres(url, `SELECT datname FROM pg_database WHERE starts_with(datname, '${run}_')`);
  for (const { datname } of rows) await askPostgres(url, `DROP DATABASE IF EXISTS ${String(datname)} WITH (FORCE)`);
}

async function removeKeys(url: string, run: string): Promise<void> {
  const redis = new Redis(url);
  for await (const keys of redis.scanStream({ match: `${run}:*`, count: 1_000 })) {
    if ((keys as string[]).length > 0) await redis.unlink(...(keys as string[]));
  }
  await redis.quit();
}
