import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createAccessKey } from '../src/access-keys/manage-access-keys.ts';
import { registerKeys } from '../src/clients/client-rules.ts';
import { generateClient, registerClient } from '../src/clients/manage-clients.ts';
import { readConfig, type SigningAlgorithm } from '../src/config.ts';
import { permissions } from '../src/contacts/contact.ts';
import { createContact } from '../src/contacts/manage-contacts.ts';
import { type Core, openCore } from '../src/core.ts';
import { createLog } from '../src/observability/log.ts';
import { listSigningKeys } from '../src/tokens/signing-key-store.ts';
import { revokeSigningKey } from '../src/tokens/signing-keys.ts';
import { createTrust } from '../src/trusts/manage-trusts.ts';
import { askPostgres } from '../test/services.ts';
import { createBenchDatabase } from './bench-database.ts';

export type Credentials = readonly [id: string, secret: string];
export type KeyClient = { clientId: string; privateKey: KeyObject };

/** Stores and registered clients that all processes of one Keyturn deployment share. */
export type Deployment = {
  env: Record<string, string>;
  /** Directory of the access log. */
  directory: string;
  integrations: readonly Credentials[];
  resourceServer: Credentials;
  /** Integrations whose tokens are JWTs, and their resource server. */
  jwtIntegrations: readonly Credentials[];
  jwtResourceServer: Credentials;
  /** Clients that authenticate with a key. */
  keyClients: readonly KeyClient[];
  /** Tokens of workloads, each of which stands for another integration. */
  workloadTokens: readonly string[];
  /** Access keys that stand alone. */
  standaloneKeys: readonly string[];
  /** Makes new signing keys current, which every server uses within a second, and withdraws all others. */
  signWith(algorithm: SigningAlgorithm): Promise<void>;
  remove(): Promise<void>;
};

/** The issuer of every server of a bench, whichever port it listens at. */
export const benchIssuer = 'https://auth.example';

const workload = { authMethod: 'workload_identity', jwks: null, jwksUri: null, certificateSubject: null } as const;
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
  const { env, core, remove } = await createBenchDatabase(stores, '', {
    KEYTURN_STANDALONE_KEYS: 'on',
    KEYTURN_ISSUER: benchIssuer,
  });
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
  const [jwtResourceServer = ['', '']] = await register([
    {
      name: 'Reports API',
      kind: 'resource_server',
      resource: 'https://reports.example',
      information: ['reports'],
      tokenFormat: 'jwt',
    },
  ]);
  const jwtIntegrations = await register(
    Array.from({ length: clients }, (_, number) => ({
      name: `Reporter ${number}`,
      kind: 'integration',
      scope: 'reports:read reports:create',
    })),
  );
  const keyClients = await registerKeyClients(core, clients, scope);
  const workloadTokens = await trustWorkloads(core, clients);
  const standaloneKeys = await createStandaloneKeys(core, clients);
  await core.close();
  if (registered > clients) await fill(env['DATABASE_URL'] ?? '', registered - clients);
  const directory = await mkdtemp(join(tmpdir(), 'keyturn-bench-'));
  return {
    env,
    directory,
    integrations,
    resourceServer,
    jwtIntegrations,
    jwtResourceServer,
    keyClients,
    workloadTokens,
    standaloneKeys,
    signWith: (algorithm) => signWith({ ...env, KEYTURN_SIGNING_ALG: algorithm }),
    remove: async () => {
      await rm(directory, { recursive: true });
      await remove();
    },
  };
}

/** Registers integrations that authenticate with an ES256 key each. */
async function registerKeyClients(core: Core, count: number, scope: string): Promise<KeyClient[]> {
  const pairs = Array.from({ length: count }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  return await core.change(async (transaction) => {
    const registered: KeyClient[] = [];
    for (const [number, { publicKey, privateKey }] of pairs.entries()) {
      const jwk = { ...publicKey.export({ format: 'jwk' }), kid: `key-${number}` };
      const keys = registerKeys('private_key_jwt', { jwks: { keys: [jwk] } });
      const input = { name: `Signer ${number}`, kind: 'integration', scope } as const;
      const authentication = { authMethod: 'private_key_jwt', ...keys } as const;
      const { clientId } = await registerClient(transaction, core, actor, input, authentication);
      registered.push({ clientId, privateKey });
    }
    return registered;
  });
}

async function signWith(env: Record<string, string>): Promise<void> {
  const core = await openCore(readConfig(env), createLog('warn', 2));
  // The first withdrawal makes the next key current, which is of the algorithm before.
  for (let withdrawn = 0; withdrawn < 2; withdrawn++) {
    await core.change(async (transaction) => {
      const current = (await listSigningKeys(transaction, new Date())).find(({ state }) => state === 'current');
      await revokeSigningKey(transaction, core, actor, current?.kid ?? '');
    });
  }
  await core.close();
}

/** Creates integrations with a trust of an issuer of their own, whose key is registered. Returns a token of each. */
async function trustWorkloads(core: Core, count: number): Promise<string[]> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256' }] };
  const audience = benchIssuer;
  const issuers = Array.from({ length: count }, (_, number) => `https://ci-${number}.example`);
  await core.change(async (transaction) => {
    for (const issuer of issuers) {
      const input = { name: issuer, kind: 'integration', scope: 'orders:read' } as const;
      const { clientId } = await registerClient(transaction, core, actor, input, workload);
      const conditions = [{ claim: 'sub', equals: 'deploy' }];
      const given = { name: issuer, issuer, audience, jwks, conditions };
      await createTrust(transaction, { ...core, clusterUrl: undefined }, actor, clientId, given);
    }
  });
  const sign = (issuer: string) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'RS256', kid: 'bench' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject('deploy')
      .setIssuedAt()
      .setExpirationTime('12h')
      .sign(privateKey);
  return await Promise.all(issuers.map(sign));
}

async function createStandaloneKeys(core: Core, count: number): Promise<string[]> {
  return await core.change(async (transaction) => {
    const grantor = { ...actor, permissions: [...permissions], organizationId: null };
    const contact = await createContact(transaction, core, grantor, { name: 'Bench', email: 'bench@example.com' });
    const keys: string[] = [];
    for (let number = 0; number < count; number++) {
      const input = { name: `Key ${number}`, permissions: { orders: ['read'] as const }, standalone: true };
      keys.push((await createAccessKey(transaction, core, actor, contact.id, input)).accessKey);
    }
    return keys;
  });
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
