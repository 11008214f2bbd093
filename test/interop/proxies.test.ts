import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate, type TestCertificate } from '../certificates.ts';
import { eventually } from '../eventually.ts';
import { type ChildServer, startChildServer } from '../faults/child-server.ts';
import { freePort } from '../free-port.ts';
import { createTestStores, type Stores, startTestServer } from '../harness.ts';
import { registerWithoutSecret } from '../oauth/assertion.ts';
import { inactive, registerAll, type TestClient } from '../oauth/fixture.ts';
import { type Answer, basicOf, type Form, post, type Sent, send } from '../oauth/http-client.ts';
import { hasPrograms, type ProgramName, testWith } from '../programs.ts';
import { runBeside, shippedFile } from './run-beside.ts';

/**
 * Runs the sample configurations of proxies in front of two processes of Keyturn, with only addresses and the
 * certificate changed.
 */
const host = 'auth.example.com';
const certificate = makeCertificate({ dns: [host] });
const clientCertificate = makeCertificate();
const tls = { ca: certificate.cert, servername: host };
const failuresPerMinute = 20;

type Addresses = { port: number; upstreams: readonly [string, string] };
type Proxy = {
  program: ProgramName;
  start: (addresses: Addresses, changes?: readonly [string, string][]) => Promise<{ stop: () => Promise<void> }>;
  /** Replacements in the configuration that enable client certificates. */
  withClientCertificates: readonly [string, string][];
  /** The header with the client certificate, which depends on the proxy. */
  certificateHeader: string;
};

const proxies: [string, Proxy][] = [
  [
    'nginx',
    {
      program: 'nginx',
      start: async ({ port, upstreams }, changes = []) => {
        const conf = await shippedFile('deploy/proxy/nginx.conf', [
          ...changes,
          ['10.0.0.11:4000', upstreams[0]],
          ['10.0.0.12:4000', upstreams[1]],
          ['listen 443 ssl http2 backlog=4096', `listen 127.0.0.1:${port} ssl http2`],
          ['/etc/nginx/tls/', ''],
          ['worker_processes auto', 'worker_processes 2'],
        ]);
        return await runBeside({
          files: { 'nginx.conf': conf, 'cert.pem': certificate.cert, 'key.pem': certificate.key },
          command: (directory) => [
            ...['/usr/sbin/nginx', '-p', directory, '-c', `${directory}/nginx.conf`, '-e', 'stderr'],
            ...['-g', `daemon off; pid ${directory}/pid;`],
          ],
          answers: () => ask(port, '/'),
        });
      },
      withClientCertificates: [['# ssl_verify_client', 'ssl_verify_client']],
      certificateHeader: encodeURIComponent(clientCertificate.cert),
    },
  ],
  [
    'HAProxy',
    {
      program: 'HAProxy',
      start: async ({ port, upstreams }, changes = []) => {
        const cfg = await shippedFile('deploy/proxy/haproxy.cfg', [
          ...changes,
          ['10.0.0.11:4000', upstreams[0]],
          ['10.0.0.12:4000', upstreams[1]],
          ['bind :443', `bind 127.0.0.1:${port}`],
          ['/etc/haproxy/auth.example.com.pem', 'cert.pem'],
        ]);
        return await runBeside({
          files: { 'haproxy.cfg': cfg, 'cert.pem': certificate.cert + certificate.key },
          command: () => ['/usr/sbin/haproxy', '-db', '-f', 'haproxy.cfg'],
          answers: () => ask(port, '/'),
        });
      },
      withClientCertificates: [
        ['  bind :443 ssl crt /etc/haproxy/auth.example.com.pem alpn h2,http/1.1\n', ''],
        ['# bind', 'bind'],
      ],
      certificateHeader: `:${clientCertificate.x509.raw.toString('base64')}:`,
    },
  ],
];

let stores: Stores;
let replicas: { server: ChildServer; port: number }[] = [];
let shop: TestClient;
let orders: TestClient;
/**
 * Number of the last used client address. Each test uses its own addresses, so that failures of other tests do not
 * count for it.
 */
let lastAddress = 0;

beforeAll(async () => {
  if (!proxies.some(([, { program }]) => hasPrograms(program))) return;
  stores = await createTestStores();
  const registrar = await startTestServer({ stores });
  ({ shop, orders } = await registerAll(registrar.core));
  await registrar.close();
  replicas = await Promise.all(
    [1, 2].map(async () => {
      const port = await freePort();
      return { port, server: await startReplica(port) };
    }),
  );
});

afterAll(() => Promise.all(replicas.map(({ server }) => server.terminate())));

function startReplica(port: number): Promise<ChildServer> {
  return startChildServer(stores, {
    KEYTURN_PORT: String(port),
    KEYTURN_ISSUER: `https://${host}`,
    KEYTURN_TRUST_PROXY: '127.0.0.1',
    KEYTURN_FAILURES_PER_MINUTE: String(failuresPerMinute),
    KEYTURN_LOG_LEVEL: 'info',
  });
}

function newAddress(): string {
  lastAddress += 1;
  return `127.0.77.${lastAddress}`;
}

function ask(port: number, path: string, sent: Sent = {}): Promise<Answer> {
  return send(`https://127.0.0.1:${port}${path}`, { tls, ...sent, headers: { Host: host, ...sent.headers } });
}

describe.each(proxies)('%s with the configuration of deploy/proxy/', (_name, proxy) => {
  const guarantee = testWith(proxy.program);
  let running: { stop: () => Promise<void> };
  let port: number;

  beforeAll(async () => {
    if (!hasPrograms(proxy.program)) return;
    port = await freePort();
    const [one, two] = replicas.map((replica) => `127.0.0.1:${replica.port}`) as [string, string];
    running = await proxy.start({ port, upstreams: [one, two] });
    await eventually(async () => (await ask(port, '/.well-known/jwks.json')).status === 200);
  });

  afterAll(() => running?.stop());

  const form = (path: string, client: TestClient, fields: Form, { headers, ...rest }: Sent = {}) =>
    post(`https://127.0.0.1:${port}${path}`, fields, {
      tls,
      ...rest,
      headers: { Host: host, Authorization: basicOf(client.id, client.secret), ...headers },
    });
  const token = (client: TestClient, sent?: Sent) =>
    form('/oauth2/token', client, { grant_type: 'client_credentials' }, sent);
  const introspect = (presented: string, sent?: Sent) => form('/oauth2/introspect', orders, { token: presented }, sent);

  guarantee('a token is issued, introspected and revoked, and the metadata is that of the issuer', async () => {
    const issued = await token(shop);
    expect(issued).toMatchObject({ status: 200, json: { token_type: 'Bearer' } });
    const presented = issued.json['access_token'] as string;
    expect((await introspect(presented)).json).toMatchObject({ active: true, client_id: shop.id });
    expect((await form('/oauth2/revoke', shop, { token: presented })).status).toBe(200);
    await eventually(async () => (await introspect(presented)).text === inactive);
    expect((await ask(port, '/.well-known/oauth-authorization-server')).json).toMatchObject({
      issuer: `https://${host}`,
      token_endpoint: `https://${host}/oauth2/token`,
    });
  });

  guarantee('what is not for the world is not there, and what is too much is refused as Keyturn does', async () => {
    for (const path of [
      '/',
      '/readyz',
      '/healthz',
      '/metrics',
      '/console/',
      '/admin/v1/clients',
      '/oauth2/../readyz',
    ]) {
      expect([path, (await ask(port, path)).status]).toEqual([path, 404]);
    }
    const much = await form('/oauth2/token', shop, { grant_type: 'client_credentials', padding: 'x'.repeat(17_000) });
    expect(much).toMatchObject({
      status: 413,
      headers: { 'content-type': expect.stringMatching(/^application\/json/) },
    });
  });

  guarantee('the failure limit meets the address that fails, by whatever name it goes, and no other one', async () => {
    const [guilty, innocent] = [newAddress(), newAddress()];
    const wrong = { id: shop.id, secret: orders.secret };
    const seen = new Set<number>();
    for (let count = 0; count < 3 * failuresPerMinute; count++) {
      const headers = { 'X-Forwarded-For': `198.51.100.${count}`, Forwarded: `for=198.51.100.${count}` };
      seen.add((await token(wrong, { from: guilty, headers })).status);
    }
    expect([...seen]).toEqual([401, 429]);
    expect((await token(shop, { from: innocent, headers: { 'X-Forwarded-For': guilty } })).status).toBe(200);
    expect((await token(wrong, { from: innocent, headers: { 'X-Forwarded-For': guilty } })).status).toBe(401);
  });

  guarantee('events come through as they happen', async () => {
    const presented = (await token(shop)).json['access_token'] as string;
    let heard = '';
    const stream = request(`https://127.0.0.1:${port}/oauth2/events`, {
      ...tls,
      agent: false,
      headers: { Host: host, Authorization: basicOf(orders.id, orders.secret) },
    });
    stream.on('response', (response) => response.on('data', (data: Buffer) => (heard += data)));
    stream.on('error', () => undefined);
    stream.end();
    await eventually(() => heard !== '');
    heard = '';
    await form('/oauth2/revoke', shop, { token: presented });
    await eventually(() => heard.includes('event: token\n'));
    stream.destroy();
  });

  guarantee('no request fails while one process is killed, another is stopped, and both restart', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 8 });
    const wrong: string[] = [];
    let [count, underLoad] = [0, true];
    const caller = async () => {
      while (underLoad) {
        try {
          const issued = await token(shop, { agent });
          const introspected = await introspect(String(issued.json['access_token']), { agent });
          if (introspected.json['active'] !== true)
            wrong.push(`${issued.status} ${issued.text} ${introspected.status} ${introspected.text}`);
        } catch (error) {
          wrong.push(String(error));
        }
        count += 2;
      }
    };
    const served = (rounds: number) => {
      const from = count;
      return eventually(() => count - from > rounds);
    };
    const callers = Array.from({ length: 6 }, caller);
    try {
      for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
        const replica = replicas[signal === 'SIGKILL' ? 0 : 1] as (typeof replicas)[number];
        await served(20);
        const exit = once(replica.server.process, 'exit');
        replica.server.process.kill(signal);
        await exit;
        await served(100);
        replica.server = await startReplica(replica.port);
        // Wait until the proxy uses the process again.
        const { lines } = replica.server;
        await eventually(() => lines.some((line) => line.includes('"/oauth2/introspect"')));
      }
    } finally {
      underLoad = false;
      await Promise.all(callers);
      agent.destroy();
    }
    expect(wrong.slice(0, 5)).toEqual([]);
    expect(count).toBeGreaterThan(100);
  });

  guarantee('without any process to ask, the answer is 503 with Retry-After, as Keyturn says it', async () => {
    const nowhere = await freePort();
    const alone = await freePort();
    const stopped = await proxy.start({ port: alone, upstreams: [`127.0.0.1:${nowhere}`, `127.0.0.1:${nowhere}`] });
    try {
      const answer = await ask(alone, '/oauth2/introspect', { method: 'POST' });
      expect(answer).toMatchObject({
        status: 503,
        headers: { 'retry-after': '1', 'cache-control': 'no-store', 'content-type': 'application/json' },
        json: { error: 'temporarily_unavailable' },
      });
    } finally {
      await stopped.stop();
    }
  });

  guarantee(
    'replaces headers that only the proxy may set, and forwards a client certificate if that is enabled',
    async () => {
      let received: IncomingHttpHeaders = {};
      const echo = createServer((incoming, response) => {
        if (incoming.url !== '/readyz') received = incoming.headers;
        response.end('{}');
      }).listen(0, '127.0.0.1');
      echo.unref();
      await once(echo, 'listening');
      const upstream = `127.0.0.1:${(echo.address() as AddressInfo).port}`;
      const claims = {
        'X-Forwarded-For': '198.51.100.1',
        'X-Forwarded-Proto': 'http',
        'Client-Cert': ':AA==:',
        Forwarded: 'for=198.51.100.1',
      };
      const from = newAddress();
      for (const isTurnedOn of [false, true]) {
        const there = await freePort();
        const changes = isTurnedOn ? proxy.withClientCertificates : [];
        const started = await proxy.start({ port: there, upstreams: [upstream, upstream] }, changes);
        try {
          const { cert, key } = clientCertificate;
          const call = (shown: object) =>
            ask(there, '/oauth2/token', { from, headers: claims, tls: { ...tls, ...shown } });
          await eventually(async () => (await call({})).status === 200);
          expect(received).toMatchObject({ host, 'x-forwarded-for': from, 'x-forwarded-proto': 'https' });
          expect([received['client-cert'], received['forwarded']]).toEqual([undefined, undefined]);
          await call({ cert, key });
          expect(received['client-cert']).toBe(isTurnedOn ? proxy.certificateHeader : undefined);
        } finally {
          await started.stop();
        }
      }
    },
  );

  guarantee('authenticates clients by their certificates (RFC 8705), and never by a header of their own', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyturn-proxy-'));
    const ca = makeCertificate({ subject: 'Clients CA', isCa: true });
    writeFileSync(join(directory, 'ca.crt'), ca.cert);
    const keyturn = await startTestServer({
      stores,
      env: {
        KEYTURN_ISSUER: `https://${host}`,
        KEYTURN_TRUST_PROXY: '127.0.0.1',
        KEYTURN_CLIENT_CERT_HEADER: 'Client-Cert',
        KEYTURN_CLIENT_CERT_PROXY: '127.0.0.1',
        KEYTURN_TLS_CLIENT_CA: join(directory, 'ca.crt'),
      },
    });
    const there = await freePort();
    const upstream = `127.0.0.1:${new URL(keyturn.publicUrl).port}`;
    const started = await proxy.start({ port: there, upstreams: [upstream, upstream] }, proxy.withClientCertificates);
    try {
      const jwk = { ...clientCertificate.x509.publicKey.export({ format: 'jwk' }) };
      const x5c = [clientCertificate.x509.raw.toString('base64')];
      const selfSigned = await registerWithoutSecret(keyturn.core, 'self_signed_tls_client_auth', {
        jwks: { keys: [{ ...jwk, x5c }] },
      });
      const named = await registerWithoutSecret(keyturn.core, 'tls_client_auth', {
        certificateSubject: { field: 'tls_client_auth_san_dns', value: 'sync.example.com' },
      });
      const dns = ['sync.example.com'];
      const issued = makeCertificate({ dns, issuer: ca });
      const call = async (clientId: string, shown?: TestCertificate, headers = {}) => {
        const form = { grant_type: 'client_credentials', client_id: clientId };
        const own = shown ? { cert: shown.cert, key: shown.key } : {};
        const url = `https://127.0.0.1:${there}/oauth2/token`;
        return (await post(url, form, { tls: { ...tls, ...own }, headers: { Host: host, ...headers } })).status;
      };
      const forged = { 'Client-Cert': `:${issued.x509.raw.toString('base64')}:` };
      expect(await call(selfSigned, clientCertificate)).toBe(200);
      expect(await call(named, issued)).toBe(200);
      expect(await call(named, makeCertificate({ dns }))).toBe(401);
      // nginx rejects this certificate itself.
      const expired = makeCertificate({ dns, issuer: ca, notAfter: new Date(Date.now() - 1_000) });
      expect([400, 401]).toContain(await call(named, expired));
      expect(await call(named)).toBe(401);
      expect(await call(named, undefined, forged)).toBe(401);
      expect(await call(named, clientCertificate, forged)).toBe(401);
    } finally {
      await started.stop();
      await keyturn.close();
      rmSync(directory, { recursive: true });
    }
  });
});
