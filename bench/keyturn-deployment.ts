import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateClient } from '../src/clients/manage-clients.ts';
import { readConfig } from '../src/config.ts';
import { openCore } from '../src/core.ts';
import { createLog } from '../src/observability/log.ts';
import { migrate } from '../src/storage/migrations.ts';
import { generateRootKey } from '../src/storage/open-database.ts';
import { connectPostgres } from '../src/storage/postgres.ts';
import { askPostgres, urlOfDatabase } from '../test/services.ts';

export type Credentials = readonly [id: string, secret: string];

/** Stores and registered clients that all processes of one Keyturn deployment share. */
export type Deployment = {
  env: Record<string, string>;
  /** Directory of the access log. */
  directory: string;
  integrations: readonly Credentials[];
  resourceServer: Credentials;
  remove(): Promise<void>;
};

const actor = { id: 'bench', name: 'bench', address: null };

/**
 * Creates a migrated database on the given server with one resource server and `clients` integrations, whose
 * credentials are returned; then adds integrations until `registered` exist.
 */
export async function createDeployment(
  stores: { databaseUrl: string; redisUrl: string },
  clients: number,
  registered = clients,
): Promise<Deployment> {
  const name = `keyturn_bench_${process.pid}`;
  await askPostgres(stores.databaseUrl, `CREATE DATABASE ${name}`);
  const env = {
    DATABASE_URL: urlOfDatabase(stores.databaseUrl, name),
    REDIS_URL: stores.redisUrl,
    KEYTURN_ROOT_KEY: generateRootKey(),
    KEYTURN_HOST: '127.0.0.1',
    KEYTURN_ALLOWED_HOSTS: '127.0.0.1',
    // The limit counts but never refuses, because a refusal costs less than the work that is measured.
    KEYTURN_FAILURES_PER_MINUTE: '1000000',
  };
  const log = createLog('warn', 2);
  const database = connectPostgres({ connectionString: env.DATABASE_URL, log });
  await migrate(database);
  await database.close();

  const core = await openCore(readConfig(env), log);
  const register = (inputs: readonly Parameters<typeof generateClient>[3][]) =>
    core.change(async (transaction): Promise<Credentials[]> => {
      const credentials: Credentials[] = [];
      for (const input of inputs) {
        const { client, clientSecret } = await generateClient(transaction, core, actor, input);
        credentials.push([client.clientId, clientSecret]);
      }
      return credentials;
    });
  const [resourceServer = ['', '']] = await register([
    {
      name: 'Orders API',
      kind: 'resource_server',
      resource: 'https://orders.example',
      information: ['orders', 'products'],
    },
  ]);
  const scope = 'orders:read orders:create products:read';
  const integrations = await register(
    Array.from({ length: clients }, (_, number) => ({ name: `Integration ${number}`, kind: 'integration', scope })),
  );
  await core.close();
  if (registered > clients) await fill(env.DATABASE_URL, registered - clients);
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

/** Inserts more integrations: copies of an existing one with new ids and Client IDs, and secrets that nobody knows. */
async function fill(databaseUrl: string, clients: number): Promise<void> {
  await askPostgres(
    databaseUrl,
    `WITH one AS (SELECT to_jsonb(c) AS client, to_jsonb(s) AS secret
        FROM clients c JOIN secrets s ON s.client = c.id WHERE c.kind = 'integration' LIMIT 1),
      more AS MATERIALIZED (SELECT gen_random_uuid() AS id, 'kti_' || left(md5(n::text), 22) AS client_id
        FROM generate_series(1, ${clients}) n),
      inserted AS (INSERT INTO clients SELECT r.* FROM one, more,
        jsonb_populate_record(NULL::clients, one.client || jsonb_build_object('id', id, 'client_id', client_id)) r),
      named AS (INSERT INTO client_ids (client_id, client) SELECT client_id, id FROM more)
    INSERT INTO secrets SELECT r.* FROM one, more, jsonb_populate_record(NULL::secrets, one.secret || jsonb_build_object(
      'id', gen_random_uuid(), 'client', id, 'client_id', client_id, 'verifier', sha256(client_id::bytea))) r`,
  );
  await askPostgres(databaseUrl, 'ANALYZE');
}
