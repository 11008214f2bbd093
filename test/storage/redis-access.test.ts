import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readRedisUrl } from '../../src/configuration/store-urls.ts';
import { createLog } from '../../src/observability/log.ts';
import { connectRedis } from '../../src/storage/redis.ts';
import { type ProgramGroup, startProgramGroup } from '../faults/program-group.ts';
import { documentedUser } from '../faults/redis-topologies.ts';
import { freePort } from '../free-port.ts';
import { createTestStores, startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, inactive, registerAll } from '../oauth/fixture.ts';
import { testWith } from '../programs.ts';
import { findProgram } from '../services/service-programs.ts';

const log = createLog('silent');
const servers = [findProgram(['redis-server']), findProgram(['valkey-server'])];

describe.each([
  ['Redis', servers[0]],
  ['Valkey', servers[1]],
])('%s over TLS, with the user of least privilege', (_, program) => {
  const test_ = program ? testWith('openssl') : it.skip;
  const directory = mkdtempSync(join(tmpdir(), 'keyturn-test-'));
  let redis: ProgramGroup;
  let server: TestServer | undefined;
  let url: (user: string, query?: string) => string;

  beforeAll(async () => {
    if (!program) return;
    const openssl = (...parameters: string[]) => execFileSync('openssl', parameters, { cwd: directory, stdio: 'pipe' });
    openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=CA',
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
    );
    for (const name of ['server', 'client']) {
      const request = [
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.csr`,
      ];
      openssl('req', ...request, '-addext', 'subjectAltName=IP:127.0.0.1');
      const sign = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-copy_extensions', 'copy'];
      openssl('x509', '-req', '-in', `${name}.csr`, ...sign, '-out', `${name}.crt`);
    }
    const read = (name: string) => execFileSync('cat', [name], { cwd: directory }).toString();
    const port = await freePort();
    redis = await startProgramGroup(
      { redis: `exec "${program}" ./redis.conf` },
      {
        'ca.crt': read('ca.crt'),
        'server.crt': read('server.crt'),
        'server.key': read('server.key'),
        'redis.conf':
          `port 0\ntls-port ${port}\nbind 127.0.0.1\ntls-ca-cert-file ca.crt\ntls-cert-file server.crt\ntls-key-file server.key\n` +
          `tls-auth-clients yes\nsave ""\nappendonly no\nuser default off\n${documentedUser('s3cret')}\n`,
      },
    );
    await redis.start('redis');
    const file = (name: string) =>
      `${name}=${join(directory, name === 'ca' ? 'ca.crt' : `client.${name === 'cert' ? 'crt' : 'key'}`)}`;
    const all = `${file('ca')}&${file('cert')}&${file('key')}`;
    url = (user, query = all) => `rediss://${user}@127.0.0.1:${port}?${query}`;
  });

  // Close the server even if a test fails; otherwise the test run would not end.
  afterEach(async () => {
    await server?.close();
    server = undefined;
  });

  afterAll(async () => {
    await redis?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test_('supports every feature of the server, including rate limits', async () => {
    const stores = { ...(await createTestStores()), redisUrl: url('keyturn:s3cret'), redisPrefix: 'kt:' };
    server = await startTestServer({
      stores,
      env: { KEYTURN_FAILURES_PER_MINUTE: '3', KEYTURN_TOKENS_PER_MINUTE: '100' },
    });
    const clients = await registerAll(server.core);
    const api = endpointsOf(server.publicUrl);
    const token = await api.accessToken(clients.shop);
    expect((await api.introspect(clients.orders, token)).json).toMatchObject({ active: true });
    expect((await api.revoke(clients.shop, token)).status).toBe(200);
    expect((await api.introspect(clients.orders, token)).text).toBe(inactive);
    const wrong = { id: clients.shop.id, secret: clients.orders.secret };
    for (let attempt = 0; attempt < 3; attempt++) expect((await api.token(wrong)).status).toBe(401);
    expect((await api.token(wrong)).status).toBe(429);
  });

  test_('rejects a connection without a trusted CA, the client certificate or the right password', async () => {
    for (const refused of [
      url('keyturn:s3cret', ''),
      url('keyturn:s3cret', `ca=${join(directory, 'ca.crt')}`),
      url('keyturn:wrong'),
      url('default:s3cret'),
    ]) {
      await expect(connectRedis(refused, log)).rejects.toMatchObject({ code: 'temporarily_unavailable' });
    }
  });
});

test.each([
  ['redis://a,b', /several hosts/],
  ['redis://', /no host/],
  ['redis://a/x', /database number/],
  ['redis+cluster://a/1', /only database 0/],
  ['rediss://a?ca=/does/not/exist', /ca cannot be read/],
  ['redis://a?tls=true', /a parameter other than ca, cert, key/],
  ['redis://a/-1', /database number/],
  ['redis://a/1e1', /database number/],
  ['redis://a:65536', /host:port/],
  ['redis://:6379', /a port without a host/],
])('the REDIS_URL %s is rejected with the reason', (given, reason) => {
  expect(() => readRedisUrl(given)).toThrow(reason);
});

test('every part of REDIS_URL is parsed', () => {
  expect(readRedisUrl('redis+sentinel://us%40er:p%2Fw@a,[::1]:5/main/3?sentinel_password=q')).toMatchObject({
    topology: 'sentinel',
    nodes: [
      { host: 'a', port: 26_379 },
      { host: '::1', port: 5 },
    ],
    primaryName: 'main',
    db: 3,
    username: 'us@er',
    password: 'p/w',
    sentinelPassword: 'q',
    tls: undefined,
  });
});
