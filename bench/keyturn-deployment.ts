import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateClient } from '../src/clients/manage-clients.ts';
import { readConfig } from '../src/config.ts';
import { openCore } from '../src/core.ts';
import { createLog } from '../src/log.ts';
import { migrate } from '../src/storage/migrate.ts';
import { generateRootKey } from '../src/storage/open-database.ts';
import { connectPostgres } from '../src/storage/postgres.ts';
import { askPostgres, urlOfDatabase } from '../test/services.ts';

export type Credentials = readonly [id: string, secret: string];

/** What the processes of one Keyturn have in common, with clients registered in it. */
export type Deployment = {
  env: Record<string, string>;
  /** For the access log. */
  directory: string;
  integrations: readonly Credentials[];
  resourceServer: Credentials;
  remove(): Promise<void>;
};

const actor = { id: 'bench', name: 'bench', address: null };

/** A migrated database of its own on the given server, with one resource server and so many integrations. */
export async function createDeployment(
  stores: { databaseUrl: string; redisUrl: string },
  clients: number,
): Promise<Deployment> {
  const name = `keyturn_bench_${process.pid}`;
  await askPostgres(stores.databaseUrl, `CREATE DATABASE ${name}`);
  const env = {
    DATABASE_URL: urlOfDatabase(stores.databaseUrl, name),
    REDIS_URL: stores.redisUrl,
    KEYTURN_ROOT_KEY: generateRootKey(),
    KEYTURN_HOST: '127.0.0.1',
    KEYTURN_ALLOWED_HOSTS: '127.0.0.1',
    // The limit is on, and counts, but does not refuse: refusing is cheaper than what is measured.
    KEYTURN_FAILURES_PER_MINUTE: '1000000',
  };
  const log = createLog('warn', 2);
  const database = connectPostgres({ connectionString: env.DATABASE_URL, log });
  await migrate(database);
  await database.close();

  const core = await openCore(readConfig(env), log);
  const register = (input: Parameters<typeof generateClient>[3]) =>
    core.change(async (transaction): Promise<Credentials> => {
      const { client, clientSecret } = await generateClient(transaction, core, actor, input);
      return [client.clientId, clientSecret];
    });
  const resourceServer = await register({
    name: 'Orders API',
    kind: 'resource_server',
    resource: 'https://orders.example',
    information: ['orders', 'products'],
  });
  const integrations: Credentials[] = [];
  for (let number = 0; number < clients; number++) {
    const scope = 'orders:read orders:create products:read';
    integrations.push(await register({ name: `Integration ${number}`, kind: 'integration', scope }));
  }
  await core.close();
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-bench-'));
  return {
    env,
    directory,
    integrations,
    resourceServer,
    remove: async () => {
      await rm(directory, { recursive: true });
      await askPostgres(stores.databaseUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}
