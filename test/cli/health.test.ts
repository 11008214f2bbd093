import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../certificates.ts';
import { freePort } from '../free-port.ts';
import { createTestStores, type Stores, startTestServer } from '../harness.ts';
import { basicOf, send } from '../oauth/http-client.ts';
import { ended, printed, runCommand, startCommand } from './run-command.ts';

let stores: Stores;

beforeAll(async () => {
  stores = await createTestStores();
});

/** Environment of a container, used both for the server and for the health check of the image. */
async function healthWith(environment: Record<string, string>) {
  const env = { KEYTURN_PORT: String(await freePort()), ...environment };
  const before = await runCommand(['health'], env);
  const server = await startTestServer({ stores, env });
  const meanwhile = await runCommand(['health'], env);
  await server.close();
  return { before: before.code, meanwhile };
}

test.each([
  [{}],
  [{ KEYTURN_HOST: '127.0.0.2' }],
  [{ KEYTURN_HOST: '[::1]' }],
  [{ KEYTURN_HOST: '::' }],
  [{ KEYTURN_HOST: 'localhost' }],
])('keyturn health passes only while the server runs: %p', async (environment) => {
  expect(await healthWith(environment)).toMatchObject({ before: 1, meanwhile: { code: 0, stdout: 'ok\n' } });
});

test('keyturn health passes with a certificate that names another host', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-health-'));
  const { cert, key } = makeCertificate({ dns: ['id.example.com'] });
  const files = { KEYTURN_TLS_CERT: join(directory, 'cert.pem'), KEYTURN_TLS_KEY: join(directory, 'key.pem') };
  writeFileSync(files.KEYTURN_TLS_CERT, cert);
  writeFileSync(files.KEYTURN_TLS_KEY, key);
  const seen = await healthWith({ ...files, KEYTURN_ISSUER: 'https://id.example.com' });
  rmSync(directory, { recursive: true });
  expect(seen).toMatchObject({ before: 1, meanwhile: { code: 0 } });
});

test('the health check of the image is keyturn health, which reads the same variables as the server', () => {
  expect(readFileSync('Dockerfile', 'utf8')).toMatch(/HEALTHCHECK .*\\\n +CMD \["node", "dist\/main.js", "health"\]/);
});

describe('keyturn start', () => {
  const environment = () => ({
    DATABASE_URL: stores.databaseUrl,
    REDIS_URL: stores.redisUrl,
    KEYTURN_ROOT_KEY: stores.rootKey,
    KEYTURN_ADMIN_PORT: '0',
  });

  test('serves on another port with the default issuer', async () => {
    const port = await freePort();
    const server = startCommand(['start'], { ...environment(), KEYTURN_PORT: String(port) });
    const end = ended(server);
    await printed(server, 'Keyturn is ready');
    const answer = await send(`http://localhost:${port}/oauth2/token`, {
      method: 'POST',
      headers: {
        Authorization: basicOf('nobody', 'nothing'),
        'Content-Type': 'application/x-www-form-urlencoded',
      },
      body: 'grant_type=client_credentials',
    });
    server.kill('SIGTERM');
    await end;
    expect(answer).toMatchObject({ status: 401, json: { error: 'invalid_client' } });
  });

  test.each([
    ['192.0.2.1', 'This machine has no address 192.0.2.1'],
    ['nowhere.invalid', 'The host name nowhere.invalid has no address'],
  ])('fails on the host %s and names the variable to correct', async (host, says) => {
    const { code, stderr } = await runCommand(['start'], { ...environment(), KEYTURN_PORT: '0', KEYTURN_HOST: host });
    expect(code).toBe(1);
    expect(stderr).toContain(says);
    expect(stderr).toContain('correct KEYTURN_HOST, KEYTURN_ADMIN_HOST or KEYTURN_PORTAL_HOST');
  });
});
