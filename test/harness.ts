import { readConfig } from '../src/config.ts';
import { type Core, openCore } from '../src/core.ts';
import { createLog, type Log } from '../src/observability/log.ts';
import type { Tracing } from '../src/observability/tracing.ts';
import type { Clock, DatabaseClock } from '../src/process/clock.ts';
import { startServer } from '../src/server.ts';
import { generateRootKey } from '../src/storage/open-database.ts';
import { setStoreDeadline } from '../src/storage/with-deadline.ts';
import { patientMs } from './patient-stores.ts';
import { createTestDatabase, createTestRedis } from './services.ts';

export type Stores = { databaseUrl: string; redisUrl: string; redisPrefix: string; rootKey: string };

export type TestServer = {
  core: Core;
  publicUrl: string;
  adminUrl: string;
  /** Empty if the server does not serve the portal. */
  portalUrl: string;
  /** The stores of this server. Another server on the same stores is another process of the same deployment. */
  stores: Stores;
  close(): Promise<void>;
};

/** Creates stores for one test file: its own database, and a key prefix in Redis. */
export async function createTestStores(): Promise<Stores> {
  const { url: redisUrl, prefix: redisPrefix } = createTestRedis();
  return { databaseUrl: await createTestDatabase(), redisUrl, redisPrefix, rootKey: generateRootKey() };
}

/** Starts a server on free ports, with stores of its own unless `stores` is given. */
export async function startTestServer(
  options: {
    clock?: Clock;
    /** Unless given, the database's clock follows `clock`. */
    databaseClock?: DatabaseClock;
    env?: Record<string, string | undefined>;
    stores?: Stores;
    log?: Log;
    tracing?: Tracing;
    /**
     * Longest wait of a request for a store. Long unless given, so that a busy machine is no reason for a 503. Applies
     * to every server of the test file.
     */
    storeDeadlineMs?: number;
    /** Reads a JWK set in place of the network. */
    readJwks?: (uri: string) => Promise<readonly unknown[]>;
  } = {},
): Promise<TestServer> {
  setStoreDeadline(options.storeDeadlineMs ?? patientMs);
  const stores = options.stores ?? (await createTestStores());
  const config = readConfig({
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    KEYTURN_ROOT_KEY: stores.rootKey,
    KEYTURN_ISSUER: 'http://localhost:4000',
    KEYTURN_ALLOWED_HOSTS: '127.0.0.1,localhost',
    KEYTURN_PORT: '0',
    KEYTURN_ADMIN_PORT: '0',
    KEYTURN_LOG_LEVEL: 'silent',
    KEYTURN_FAST_PATH: process.env['TEST_FAST_PATH'] ?? 'on',
    ...options.env,
  });
  const log = options.log ?? createLog(config.logLevel);
  const { clock, databaseClock, readJwks, tracing } = options;
  const core = await openCore(config, log, {
    redisPrefix: stores.redisPrefix,
    ...(clock ? { clock } : {}),
    ...(databaseClock ? { databaseClock } : {}),
    ...(readJwks ? { readJwks } : {}),
    ...(tracing ? { tracing } : {}),
  });
  const server = await startServer(core, { drainMs: 100 }).catch(async (error: unknown) => {
    await core.close();
    throw error;
  });
  return {
    core,
    publicUrl: server.publicUrl,
    adminUrl: server.adminUrl,
    portalUrl: server.portalUrl ?? '',
    stores,
    close: async () => {
      await server.close();
      await core.close();
    },
  };
}
