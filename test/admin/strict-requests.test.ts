import { gzipSync } from 'node:zlib';
import { generateClientId } from '../../src/credentials/credential-format.ts';
import { type Sent, send, sendRaw } from '../oauth/http-client.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let token: string;

beforeAll(async () => {
  server = await startAdminServer({ env: { KEYTURN_ALLOWED_HOSTS: 'admin.example,127.0.0.1' } });
  token = await server.operatorToken();
});
afterAll(() => server.close());

const post = (body: unknown, headers: Record<string, string> = {}) =>
  server.adminFetch('/clients', { method: 'POST', body, headers });

/** Sends headers unchanged, whereas `fetch` replaces the Host header. */
const sendTo = (path: string, { headers, ...rest }: Sent) =>
  send(`${server.adminUrl}${path}`, { ...rest, headers: { Authorization: `Bearer ${token}`, ...headers } });

async function countClients(): Promise<number> {
  return (await server.adminFetch('/clients?limit=200')).json.data.length;
}

test('rejects unknown fields by name and creates nothing', async () => {
  const answer = await post({ name: 'a', kind: 'integration', enabled: false, token_epoch: 9 });
  expect(answer.status).toBe(400);
  expect(answer.headers.get('content-type')).toContain('application/problem+json');
  expect(answer.json).toMatchObject({
    type: 'about:blank',
    title: 'Bad Request',
    status: 400,
    code: 'invalid_request',
    issues: [
      { path: 'enabled', message: 'unknown field' },
      { path: 'token_epoch', message: 'unknown field' },
    ],
  });
  expect(await countClients()).toBe(0);
});

test.each([
  ['a member twice', '{"name":"a","name":"b","kind":"integration"}'],
  ['a member twice with the same value', '{"name":"a","name":"a","kind":"integration"}'],
  ['a member twice, once escaped', '{"name":"a","n\\u0061me":"b","kind":"integration"}'],
  ['__proto__', '{"name":"a","kind":"integration","__proto__":{"polluted":true}}'],
  ['__proto__ deep inside, escaped', '{"name":"a","x":[{"\\u005f_proto__":{"polluted":true}}]}'],
  ['NaN', '{"name":NaN}'],
  ['Infinity', '{"name":-Infinity}'],
  ['a comment', '{"name":"a"/**/}'],
  ['10,000 levels', `{"name":${'['.repeat(10_000)}${']'.repeat(10_000)}}`],
  ['10,000 levels that never end', '['.repeat(10_000)],
  ['10,000 objects in each other', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
  ['a second value', '{}{}'],
  ['nothing but a space', ' '],
])('rejects JSON with %s', async (_, body) => {
  const answer = await post(body);
  expect(answer.status).toBe(400);
  expect(answer.json.code).toBe('invalid_json');
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});

test.each([
  ['an array', '[]'],
  ['null', 'null'],
  ['a string', '"x"'],
  [
    'an object with a member named constructor',
    '{"name":"a","kind":"integration","constructor":{"prototype":{"polluted":true}}}',
  ],
])('rejects a body that is %s', async (_, body) => {
  expect((await post(body)).status).toBe(400);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});

test('does not mistake a quoted string inside a string for a member', async () => {
  const answer = await post({ name: 'a "b": {"b": "b": [', kind: 'integration' });
  expect(answer.status).toBe(201);
});

test('rejects a body that is not UTF-8', async () => {
  const body = Buffer.from('{"name":"\xff","kind":"integration"}', 'latin1');
  const headers = { 'Content-Type': 'application/json' };
  const answer = await sendTo('/admin/v1/clients', { method: 'POST', body, headers });
  expect(answer.status).toBe(400);
});

test.each([
  [{ name: '' }],
  [{ name: '   ' }],
  [{ name: 'a'.repeat(201) }],
  [{ name: 'a\u0000b' }],
  [{ name: 'a\nb' }],
  [{ name: 'a\u202eb' }],
  [{ name: 'a\ud800b' }],
  [{ name: 7 }],
  [{ kind: 'admin' }],
  [{ scope: 'orders:read  orders:create' }],
  [{ scope: 'orders:read\r\norders:create' }],
  [{ scope: 'nobody:offers' }],
  [{ auth_method: 'none' }],
  [{ resource: 'api.example' }],
  [{ resource: '/api' }],
  [{ kind: 'resource_server', resource: 'https://api.example#x' }],
  [{ kind: 'resource_server', resource: 'https://api.example/ x' }],
  [{ kind: 'resource_server', resource: 'https://a.example', information: ['Orders'] }],
  [{ kind: 'resource_server', resource: 'https://a.example', information: ['orders:read'] }],
  [{ kind: 'resource_server', information: ['orders'] }],
])('rejects a new client with %j', async (fields) => {
  const before = await countClients();
  const answer = await post({ name: 'a', kind: 'integration', ...fields });
  expect(answer.status).toBe(400);
  expect(await countClients()).toBe(before);
});

test.each([['text/plain'], ['application/x-www-form-urlencoded'], ['application/jsonp'], ['']])(
  'rejects a body of media type %j with 415',
  async (type) => {
    const headers = { ...(type ? { 'Content-Type': type } : {}), 'Content-Length': '2' };
    expect((await sendTo('/admin/v1/clients', { method: 'POST', body: '{}', headers })).status).toBe(415);
  },
);

test('rejects a compressed body with 415', async () => {
  const body = gzipSync('{"name":"a","kind":"integration"}');
  const headers = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' };
  expect((await sendTo('/admin/v1/clients', { method: 'POST', body, headers })).status).toBe(415);
});

test.each([[{ 'Content-Length': 65_537 }], [{ 'Transfer-Encoding': 'chunked' }]])(
  'rejects a body over 64 KiB with %j',
  async (framing) => {
    const headers = { 'Content-Type': 'application/json', ...framing };
    const body = JSON.stringify({ name: 'a'.repeat(65_526) });
    expect(body).toHaveLength(65_537);
    expect((await sendTo('/admin/v1/clients', { method: 'POST', body, headers })).status).toBe(413);
  },
);

test('accepts only an empty body or {} for a POST without fields', async () => {
  const { json } = await post({ name: 'a', kind: 'integration' });
  const path = `/clients/${json.client_id}/enable`;
  expect((await server.adminFetch(path, { method: 'POST' })).status).toBe(200);
  expect((await server.adminFetch(path, { method: 'POST', body: {} })).status).toBe(200);
  expect((await server.adminFetch(path, { method: 'POST', body: { force: true } })).status).toBe(400);
});

test.each([
  '/clients?sort=name',
  '/clients?limit=0',
  '/clients?limit=201',
  '/clients?limit=1&limit=2',
  '/clients?limit=1e2',
])('rejects the query of %s', async (path) => {
  expect((await server.adminFetch(path)).status).toBe(400);
});

test.each(['/contacts?q=%00', '/clients?q=%ED%A0%80', '/audit-events?actor=%00', '/audit-events?since=yesterday'])(
  'responds 200 or 400 to %s, not with a database error',
  async (path) => {
    const { status } = await server.adminFetch(path);
    expect([200, 400]).toContain(status);
  },
);

test.each([
  '/contacts/1',
  '/contacts/__proto__',
  '/contacts/%00',
  '/contacts/%E0%A4%A',
  "/contacts/'%20OR%201=1--",
  '/clients/x',
  `/clients/${'x'.repeat(5_000)}`,
  '/clients/%F0%9F%94%91',
  `/clients/${generateClientId()}`,
  `/contacts/${crypto.randomUUID()}`,
  '/nothing',
  '/Clients',
  '/clients/',
])('responds 404 to GET %s', async (path) => {
  const answer = await server.adminFetch(path);
  expect(answer.status).toBe(404);
  expect(answer.json).toMatchObject({ title: 'Not Found', code: 'not_found' });
});

test('responds 405 with Allow to an unsupported method', async () => {
  const answer = await server.adminFetch('/clients', { method: 'PUT' });
  expect(answer.status).toBe(405);
  expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD', 'POST']);
  expect(answer.json.code).toBe('method_not_allowed');
});

test.each([
  ['evil.example', 421],
  ['127.0.0.1.evil.example', 421],
  ['localhost.evil.example:4001', 421],
  ['169.254.169.254', 421],
  ['localhost:99999', 421],
  ['localhost', 200],
  ['LOCALHOST:4001', 200],
  ['[::1]:4001', 200],
  ['127.0.0.1:1', 200],
  ['admin.example', 200],
  ['admin.example:8443', 200],
])('responds to the Host %j with %d, to prevent DNS rebinding', async (host, status) => {
  expect((await sendTo('/admin/v1/clients', { headers: { Host: host } })).status).toBe(status);
});

test('responds 421 to a request without Host', async () => {
  const { text } = await sendRaw(server.adminUrl, 'GET /admin/v1/openapi.json HTTP/1.0\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1\.1 421 /);
});

test.each([
  ['https://evil.example', 403],
  ['null', 403],
  ['http://localhost.evil.example', 403],
  ['http://localhost:1', 403],
  ['http://localhost:4001', 200],
  ['https://localhost:4001', 200],
])('responds to a state-changing request from the origin %s with %d', async (origin, status) => {
  const { json } = await post({ name: 'a', kind: 'integration' });
  const path = `/admin/v1/clients/${json.client_id}/enable`;
  const headers = { Host: 'localhost:4001', Origin: origin };
  expect((await sendTo(path, { method: 'POST', headers })).status).toBe(status);
});

test('sends nosniff and no-store with every response, and never reflects input as HTML', async () => {
  const answers = [
    await server.adminFetch('/clients'),
    await server.adminFetch('/%3Cscript%3E', { headers: { accept: 'text/html' } }),
    await server.adminFetch('/clients', { token: null }),
    await post({ '<script>': 1 }),
    await sendTo('/', { headers: { Host: '<script>' } }).then(({ headers }) => ({
      headers: new Headers(headers as never),
    })),
  ];
  for (const { headers } of answers) {
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('content-type')).toMatch(/^application\/(problem\+)?json/);
  }
});

test('does not serve the admin API on the public listener', async () => {
  for (const path of ['/admin/v1/clients', '/admin/v1/openapi.json']) {
    expect((await fetch(`${server.publicUrl}${path}`)).status).toBe(404);
  }
});
