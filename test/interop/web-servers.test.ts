import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { makeDpopProof, makePair } from '../oauth/assertion.ts';
import { endpointsOf, register, type TestClient } from '../oauth/fixture.ts';
import { send } from '../oauth/http-client.ts';
import { hasPrograms, njsModule, testWith } from '../programs.ts';
import { runBeside, shippedFile } from './run-beside.ts';

/**
 * Runs web servers as resource servers with the configurations of deploy/resource-server/, with only addresses and
 * credentials changed.
 */
const host = 'auth.example.com';
const resources = { orders: 'https://orders.example.com', invoices: 'https://invoices.example.com' };

let server: TestServer;
let api: ReturnType<typeof endpointsOf>;
let shop: TestClient;
let servers: Record<keyof typeof resources, TestClient>;
let nginx: string;
let apache: string;
let closed: Promise<void> | undefined;
const running: { stop: () => Promise<void> }[] = [];

beforeAll(async () => {
  server = await startTestServer({ env: { KEYTURN_ISSUER: `https://${host}` } });
  api = endpointsOf(server.publicUrl);
  const resourceServer = (name: keyof typeof resources, tokenFormat: 'opaque' | 'jwt') =>
    register(server.core, {
      name,
      kind: 'resource_server',
      resource: resources[name],
      information: [name],
      tokenFormat,
    });
  servers = { orders: await resourceServer('orders', 'opaque'), invoices: await resourceServer('invoices', 'jwt') };
  const scope = 'orders:read orders:create invoices:read invoices:create';
  shop = await register(server.core, { name: 'Shop', kind: 'integration', scope });
});

afterAll(async () => {
  await Promise.all(running.map(({ stop }) => stop()));
  await closeServer();
});

async function closeServer(): Promise<void> {
  closed ??= server?.close();
  await closed;
}

function get(url: string, authorization?: string, headers: Record<string, string> = {}) {
  return send(url, {
    headers: { ...headers, ...(authorization === undefined ? {} : { Authorization: authorization }) },
  });
}

/** Gets a token that requires proofs of a key (RFC 9449). */
async function boundToken(name: keyof typeof resources): Promise<string> {
  const pair = await makePair();
  const form = { scope: `${name}:read`, resource: resources[name] };
  const ask = async (nonce?: string) => {
    const proof = await makeDpopProof(pair, { htu: `https://${host}/oauth2/token`, nonce });
    return await api.token(shop, form, { headers: { DPoP: proof } });
  };
  const first = await ask();
  const { json } = first.status === 200 ? first : await ask(String(first.headers['dpop-nonce']));
  expect(json).toMatchObject({ token_type: 'DPoP' });
  return json['access_token'] as string;
}

/** Checks that a server accepts valid tokens and rejects insufficient or invalid ones. Returns a valid token. */
async function expectProtection(url: string, name: keyof typeof resources): Promise<string> {
  const resource = resources[name];
  const tokenWith = (scope: string) => api.accessToken(shop, { scope: `${name}:${scope}`, resource });
  const good = await api.accessToken(shop, { scope: `${name}:create ${name}:read`, resource });
  expect((await get(url, `Bearer ${good}`)).status).toBe(200);
  expect((await get(url, `bearer ${good}`)).status).toBe(200);
  expect((await get(url, `Bearer ${await tokenWith('read')}`)).status).toBe(200);
  // Accept 401 too, because httpd has no other answer.
  expect([401, 403]).toContain((await get(url, `Bearer ${await tokenWith('create')}`)).status);
  expect((await get(url, `Bearer ${await boundToken(name)}`)).status).toBe(401);
  const other = name === 'orders' ? 'invoices' : 'orders';
  const foreign = await api.accessToken(shop, { scope: `${other}:read`, resource: resources[other] });
  const without = await get(url);
  expect(without).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.stringMatching(/^Bearer/) } });
  const basic = `Basic ${btoa(`${shop.id}:${shop.secret}`)}`;
  const malformed = [
    '',
    'Bearer',
    'Bearer ',
    `Bearer ${good}&x=1`,
    `Bearer ${good} x`,
    `Bearer ${good.slice(0, -1)}`,
    'Bearer kta_x',
    basic,
    good,
  ];
  for (const wrong of malformed) expect([wrong, (await get(url, wrong)).status]).toEqual([wrong, 401]);
  expect([401, 403]).toContain((await get(url, `Bearer ${foreign}`)).status);
  return good;
}

describe('nginx with auth_request and njs', () => {
  let received: IncomingHttpHeaders = {};

  beforeAll(async () => {
    if (!hasPrograms('nginx with njs')) return;
    const backend = createServer((incoming, response) => {
      received = incoming.headers;
      response.end('orders');
    }).listen(0, '127.0.0.1');
    backend.unref();
    await once(backend, 'listening');
    const port = await freePort();
    nginx = `http://127.0.0.1:${port}/orders`;
    const { id, secret } = servers.orders;
    const directory = 'deploy/resource-server';
    running.push(
      await runBeside({
        files: {
          'nginx.conf': await shippedFile(`${directory}/nginx.conf`, [
            ['modules/ngx_http_js_module.so', njsModule],
            ['js_path /etc/nginx/', 'js_path .'],
            ['/etc/nginx/', ''],
            ['/var/cache/nginx/', ''],
            ['server auth.example.com:443', `server ${new URL(server.publicUrl).host}`],
            ['https://keyturn/', 'http://keyturn/'],
            ['listen 80', `listen 127.0.0.1:${port}`],
            ['http://127.0.0.1:8080', `http://127.0.0.1:${(backend.address() as AddressInfo).port}`],
          ]),
          'introspect.js': await shippedFile(`${directory}/introspect.js`, []),
          'keyturn-credentials.conf': `proxy_set_header Authorization "Basic ${btoa(`${id}:${secret}`)}";`,
        },
        command: (directory) => [
          ...['/usr/sbin/nginx', '-p', directory, '-c', `${directory}/nginx.conf`, '-e', 'stderr'],
          ...['-g', `daemon off; pid ${directory}/pid;`],
        ],
        answers: () => get(nginx),
      }),
    );
  });

  testWith('nginx with njs')('lets through what is live and has the scope, and tells the API who calls', async () => {
    const token = await expectProtection(nginx, 'orders');
    await get(nginx, `Bearer ${token}`, { 'Client-Id': 'kti_forged' });
    expect(received['client-id']).toBe(shop.id);
    expect(received['authorization']).toBeUndefined();
    const narrow = await api.accessToken(shop, { scope: 'orders:create', resource: resources.orders });
    expect((await get(nginx, `Bearer ${narrow}`)).headers['www-authenticate']).toBe(
      'Bearer error="insufficient_scope", scope="orders:read"',
    );
  });

  testWith('nginx with njs')('forgets a token within ten seconds of its revocation', async () => {
    const token = await api.accessToken(shop, { scope: 'orders:read', resource: resources.orders });
    expect((await get(nginx, `Bearer ${token}`)).status).toBe(200);
    await api.revoke(shop, token);
    await eventually(async () => (await get(nginx, `Bearer ${token}`)).status === 401);
  });
});

describe('Apache httpd with mod_oauth2', () => {
  beforeAll(async () => {
    if (!hasPrograms('Apache')) return;
    const port = await freePort();
    apache = `http://127.0.0.1:${port}`;
    const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'oauth2'];
    running.push(
      await runBeside({
        files: {
          'main.conf': [
            ...modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
            `Listen 127.0.0.1:${port}`,
            'ServerName localhost',
            'DocumentRoot documents',
            'PidFile pid',
            'DefaultRuntimeDir .',
            'ErrorLog /dev/stderr',
            'Include apache.conf',
          ].join('\n'),
          'apache.conf': await shippedFile('deploy/resource-server/apache.conf', [
            ['https://auth.example.com/', `${server.publicUrl}/`],
            ['API_ID', servers.orders.id],
            ['API_SECRET', servers.orders.secret],
          ]),
          'documents/orders': 'orders',
          'documents/invoices': 'invoices',
        },
        command: (directory) => ['/usr/sbin/apache2', '-d', directory, '-f', `${directory}/main.conf`, '-DFOREGROUND'],
        answers: () => get(apache),
      }),
    );
  });

  testWith('Apache')('lets through what is live and has the scope, by introspection', async () => {
    const token = await expectProtection(`${apache}/orders`, 'orders');
    await api.revoke(shop, token);
    await eventually(async () => (await get(`${apache}/orders`, `Bearer ${token}`)).status === 401);
  });

  testWith('Apache')('accepts JWTs for this API with the scope, by the published keys', async () => {
    await expectProtection(`${apache}/invoices`, 'invoices');
    // Offer the same scopes in another API, so that its JWT differs only in the audience.
    const resource = 'https://archive.example.com';
    const archive = { kind: 'resource_server', resource, information: ['invoices'], tokenFormat: 'jwt' } as const;
    await register(server.core, { name: 'Archive', ...archive });
    const foreign = await api.accessToken(shop, { scope: 'invoices:read', resource });
    expect(foreign).toMatch(/^eyJ/);
    expect((await get(`${apache}/invoices`, `Bearer ${foreign}`)).status).toBe(401);
  });
});

describe('while Keyturn cannot be reached', () => {
  testWith('nginx with njs')('nginx says 503, and Apache nothing that lets anybody in', async () => {
    const token = await api.accessToken(shop, { scope: 'orders:read', resource: resources.orders });
    await closeServer();
    expect(await get(nginx, `Bearer ${token}`)).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    if (hasPrograms('Apache')) expect((await get(`${apache}/orders`, `Bearer ${token}`)).status).toBe(401);
  });
});
