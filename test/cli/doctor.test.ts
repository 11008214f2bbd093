import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { generateRootKey } from '../../src/storage/open-database.ts';
import { makeCertificate } from '../certificates.ts';
import { startTestServer } from '../harness.ts';
import { startMailServer } from '../notices/mail-server.ts';
import { startContainer } from '../services/service-containers.ts';
import { startProgram } from '../services/service-programs.ts';
import type { Service } from '../services/service-start.ts';
import { askPostgres, createEmptyTestDatabase, createTestDatabase, createTestRedis } from '../services.ts';
import { createEmbedded, type Environment, runCommand, runJson } from './run-command.ts';

type Check = { name: string; status: 'ok' | 'warn' | 'fail'; message: string; advice?: string };

async function examine(environment: Environment) {
  const { code, stdout } = await runCommand(['doctor', '--json'], environment);
  const { status, checks } = JSON.parse(stdout) as { status: string; checks: Check[] };
  const failed = checks.filter((check) => check.status === 'fail');
  return { code, status, checks, failed };
}

test('doctor passes for an embedded deployment before and after its first use, and creates nothing', async () => {
  const { environment, dataDir, remove } = await createEmbedded();
  const before = await examine(environment);
  expect(before).toMatchObject({ code: 0, status: 'ok' });
  expect(before.checks.find(({ name }) => name === 'root key')?.message).toContain('will be generated');
  await runJson(['clients', 'create', '--name', 'First'], environment);
  expect(await examine(environment)).toMatchObject({ code: 0, status: 'ok' });
  await chmod(join(dataDir, 'root-key'), 0o644);
  expect(await examine(environment)).toMatchObject({ code: 0, status: 'warn' });
  await remove();
});

test('doctor names the dialects that are on, and nothing if none is', async () => {
  const { environment, remove } = await createEmbedded();
  const dialectsOf = async (more: Environment) =>
    (await examine({ ...environment, ...more })).checks.find(({ name }) => name === 'dialects');
  expect(await dialectsOf({ KEYTURN_DIALECTS: 'json_body,audience' })).toEqual({
    name: 'dialects',
    status: 'ok',
    message: 'on: json_body, audience; see docs/moving.md',
  });
  expect(await dialectsOf({})).toBeUndefined();
  await remove();
});

describe('doctor with PostgreSQL and Redis', () => {
  let environment: Environment;
  const rootKey = generateRootKey();

  beforeAll(async () => {
    environment = {
      DATABASE_URL: await createTestDatabase(),
      REDIS_URL: createTestRedis().url,
      KEYTURN_ROOT_KEY: rootKey,
      KEYTURN_ISSUER: 'https://id.example.com',
    };
    await runJson(['clients', 'create', '--name', 'First'], environment);
  });

  test('passes and prints no password', async () => {
    const { code, failed, checks } = await examine(environment);
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['issuer', 'root key', 'database', 'clock', 'schema', 'secrets', 'redis']),
    );
    const text = JSON.stringify(checks);
    for (const url of [environment['DATABASE_URL'], environment['REDIS_URL']]) {
      const { password } = new URL(url ?? '');
      if (password) expect(text).not.toContain(password);
    }
  });

  test('warns if a certificate expires soon or names another host, and fails if it has expired', async () => {
    const { dataDir, remove } = await createEmbedded();
    const inDays = (days: number) => new Date(Date.now() + days * 86_400_000);
    const seen = [];
    for (const options of [
      { dns: ['id.example.com'], notAfter: inDays(30) },
      { dns: ['id.example.com'], notAfter: inDays(5) },
      { dns: ['other.example.com'], notAfter: inDays(30) },
      { dns: ['id.example.com'], notAfter: inDays(-0.5) },
    ]) {
      const { cert, key } = makeCertificate(options);
      const paths = { KEYTURN_TLS_CERT: join(dataDir, 'tls.crt'), KEYTURN_TLS_KEY: join(dataDir, 'tls.key') };
      await mkdir(dataDir, { recursive: true });
      await writeFile(paths.KEYTURN_TLS_CERT, cert);
      await writeFile(paths.KEYTURN_TLS_KEY, key);
      const { checks } = await examine({ ...environment, ...paths });
      seen.push(checks.find(({ name }) => name === 'certificate')?.status);
    }
    await remove();
    expect(seen).toEqual(['ok', 'warn', 'warn', 'fail']);
  });

  test('passes with keys that were rotated, which no root key protects', async () => {
    const hour = new Date(Date.now() + 3_600_000).toISOString();
    await askPostgres(
      environment['DATABASE_URL'] as string,
      `INSERT INTO secrets (id, client, client_id, generation, verifier, key_version, hint, created_at, retires_at, registration)
       SELECT id, id, client_id, 0, '\\x00', '', 'key 1', now(), '${hour}', '{"auth_method": "private_key_jwt"}' FROM clients`,
    );
    expect(await examine(environment)).toMatchObject({ code: 0, failed: [] });
  });

  test('warns about an issuer without TLS', async () => {
    const { code, checks } = await examine({ ...environment, KEYTURN_ISSUER: 'http://id.example.com' });
    expect(code).toBe(0);
    expect(checks.find(({ name }) => name === 'issuer')).toMatchObject({ status: 'warn', advice: expect.any(String) });
  });

  test('fails if the root key lacks a version in use', async () => {
    const { code, failed } = await examine({ ...environment, KEYTURN_ROOT_KEY: generateRootKey('v2') });
    expect(code).toBe(1);
    expect(failed).toEqual([expect.objectContaining({ name: 'secrets', message: expect.stringContaining('v1') })]);
  });

  test('fails if another root key has the same version', async () => {
    const { code, failed } = await examine({ ...environment, KEYTURN_ROOT_KEY: generateRootKey() });
    expect(code).toBe(1);
    expect(failed).toEqual([
      expect.objectContaining({ name: 'secrets', message: expect.stringContaining('not the key that protects') }),
    ]);
  });

  test('fails for an unmigrated database and names the command to run', async () => {
    const { code, failed } = await examine({ ...environment, DATABASE_URL: await createEmptyTestDatabase() });
    expect(code).toBe(1);
    expect(failed).toEqual([
      expect.objectContaining({ name: 'schema', advice: expect.stringContaining('keyturn migrate') }),
    ]);
  });

  test('reports all unavailable stores as failures at once', async () => {
    const { code, failed } = await examine({
      ...environment,
      DATABASE_URL: 'postgres://keyturn:hidden@127.0.0.1:1/keyturn',
      REDIS_URL: 'redis://:hidden@127.0.0.1:1',
    });
    expect(code).toBe(1);
    expect(failed.map(({ name }) => name)).toEqual(['database', 'redis']);
    expect(JSON.stringify(failed)).toContain('ECONNREFUSED');
    expect(JSON.stringify(failed)).not.toContain('hidden');
  });
});

test('doctor reports every error of an invalid configuration at once', async () => {
  const { code, failed } = await examine({ KEYTURN_PORT: 'x', KEYTURN_ISUER: 'y' });
  expect(code).toBe(1);
  expect(failed).toHaveLength(2);
});

describe('doctor with a Redis that may evict keys', () => {
  let redis: Service;

  beforeAll(async () => {
    redis = await startEvictingRedis();
  });

  afterAll(() => redis.stop());

  test('fails with the command that fixes it, and warns if there is no append-only file', async () => {
    const environment = {
      DATABASE_URL: await createTestDatabase(),
      REDIS_URL: redis.url,
      KEYTURN_ROOT_KEY: generateRootKey(),
    };
    const { code, failed } = await examine(environment);
    expect(code).toBe(1);
    expect(failed).toEqual([
      expect.objectContaining({ name: 'redis', message: expect.stringContaining('allkeys-lru') }),
    ]);
    expect(failed[0]?.message).toContain('CONFIG SET maxmemory-policy noeviction');

    const direct = new Redis(redis.url);
    await direct.config('SET', 'maxmemory-policy', 'noeviction');
    direct.disconnect();
    const mended = await examine(environment);
    expect(mended).toMatchObject({ code: 0, failed: [] });
    expect(mended.checks.filter(({ name }) => name === 'redis').map(({ status }) => status)).toEqual(['ok', 'warn']);
  });
});

/** Starts a separate Redis, because all other tests would reject the shared one with another eviction policy. */
async function startEvictingRedis(): Promise<Service> {
  const options = ['--save', '', '--appendonly', 'no', '--maxmemory-policy', 'allkeys-lru'];
  const answers = async (url: string) => {
    const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
    client.on('error', () => undefined);
    try {
      await client.connect();
    } finally {
      client.disconnect();
    }
  };
  return await startProgram({
    names: ['redis-server', 'valkey-server'],
    debianPackage: 'redis-server',
    prepare: ({ program, port }) => ({
      files: {},
      command: [program, '--port', String(port), '--bind', '127.0.0.1', ...options],
    }),
    url: (port) => `redis://127.0.0.1:${port}`,
    answers,
  }).catch(() =>
    startContainer({
      name: 'redis:7-bookworm',
      port: 6379,
      command: ['redis-server', ...options],
      environment: {},
      ready: /Ready to accept connections/i,
      url: (host, port) => `redis://${host}:${port}`,
      answers,
    }),
  );
}

test('doctor warns if TLS ends at a proxy that KEYTURN_TRUST_PROXY does not name', async () => {
  const { environment, remove } = await createEmbedded();
  const proxies = async (more: Environment) =>
    (await examine({ ...environment, ...more })).checks.filter(({ name }) => name === 'proxies');
  const KEYTURN_ISSUER = 'https://id.example.com';
  expect(await proxies({ KEYTURN_ISSUER })).toMatchObject([
    { status: 'warn', advice: expect.stringContaining('KEYTURN_TRUST_PROXY') },
  ]);
  expect(await proxies({ KEYTURN_ISSUER, KEYTURN_TRUST_PROXY: '10.0.0.5' })).toMatchObject([{ status: 'ok' }]);
  await remove();
});

test('doctor fails if a wide range may forward client certificates', async () => {
  const { environment, remove } = await createEmbedded();
  const header = { ...environment, KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert' };
  const { code, failed } = await examine({ ...header, KEYTURN_CLIENT_CERT_PROXY: '10.0.0.0/8' });
  expect(code).toBe(1);
  expect(failed[0]?.message).toContain('KEYTURN_CLIENT_CERT_PROXY');
  await remove();
});

test('doctor warns if the running server ignored a forwarded address of an untrusted peer', async () => {
  const server = await startTestServer();
  const environment = {
    DATABASE_URL: server.stores.databaseUrl,
    REDIS_URL: server.stores.redisUrl,
    KEYTURN_ROOT_KEY: server.stores.rootKey,
    KEYTURN_ADMIN_PORT: new URL(server.adminUrl).port,
  };
  const proxies = async () => (await examine(environment)).checks.filter(({ name }) => name === 'proxies');
  expect(await proxies()).toMatchObject([{ status: 'ok' }]);
  await fetch(`${server.publicUrl}/healthz`, { headers: { 'X-Forwarded-For': '203.0.113.9' } });
  const [check] = await proxies();
  expect(check).toMatchObject({ status: 'warn' });
  expect(check?.message).toContain('X-Forwarded-For');
  expect(check?.advice).toContain('KEYTURN_TRUST_PROXY');
  await server.close();
});

test('doctor connects to the mail server and signs in, and says why that fails', async () => {
  const { environment, remove } = await createEmbedded();
  const mail = await startMailServer();
  const check = async (url: string) => {
    const { code, checks } = await examine({
      ...environment,
      KEYTURN_SMTP_URL: url,
      KEYTURN_MAIL_FROM: 'a@example.com',
    });
    return { code, ...checks.find(({ name }) => name === 'mail') };
  };
  expect(await check(`smtp://127.0.0.1:${mail.port}`)).toMatchObject({ code: 0, status: 'ok' });
  const refused = await check(`smtp://keyturn:hidden@127.0.0.1:${mail.port}`);
  expect(refused).toMatchObject({ code: 1, status: 'fail', advice: expect.stringContaining('KEYTURN_SMTP_URL') });
  expect(JSON.stringify(refused)).not.toContain('hidden');
  expect(mail.mails).toEqual([]);
  await mail.close();
  await remove();
});
