import { calculateJwkThumbprint } from 'jose';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { makeDpopProof, makePair } from '../oauth/assertion.ts';
import { endpointsOf, inactive, ordersResource, registerAll } from '../oauth/fixture.ts';

const tokenUrl = 'http://localhost:4000/oauth2/token';
let now = Date.now();
let server: AdminServer;
let api: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let contactId: string;
let made = 0;

beforeAll(async () => {
  server = await startAdminServer({
    clock: () => now,
    env: { KEYTURN_STANDALONE_KEYS: 'on', KEYTURN_FAILURES_PER_MINUTE: '20' },
  });
  api = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  contactId = (await act('/contacts', { name: 'Ann', email: 'ann@example.com' })).json.id;
});
afterAll(() => server?.close());

const act = (path: string, body: object = {}, method = 'POST') => server.adminFetch(path, { method, body });

async function createKey(options: object = {}) {
  made += 1;
  const answer = await act(`/contacts/${contactId}/access-keys`, {
    name: `Key ${made}`,
    permissions: { orders: ['read', 'create'] },
    standalone: true,
    ...options,
  });
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.json as { id: string; access_key: string };
}

const introspect = (token: unknown, by = clients.orders) => api.introspect(by, token as string);

test('a stand-alone access key is exchanged for a token of an hour, without a client (RFC 8693)', async () => {
  const key = await createKey();
  const { status, json, headers } = await api.exchangeKey(key.access_key);
  expect({ status, json }).toEqual({
    status: 200,
    json: {
      access_token: expect.stringMatching(/^kta_/),
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 3_600,
      scope: 'orders:create orders:read',
    },
  });
  expect(headers).toMatchObject({ 'cache-control': 'no-store', pragma: 'no-cache' });
  const token = await introspect(json['access_token']);
  expect(token.json).toEqual({
    active: true,
    sub: contactId,
    access_key_id: key.id,
    contact_id: contactId,
    iat: Math.floor(now / 1_000),
    exp: Math.floor(now / 1_000) + 3_600,
    iss: 'http://localhost:4000',
    jti: expect.any(String),
    aud: ordersResource,
    scope: 'orders:create orders:read',
    token_type: 'Bearer',
  });
  now += 3_600_000;
  expect((await introspect(json['access_token'])).text).toBe(inactive);
});

test('the exchange can be for less than the key allows, and never for more', async () => {
  const key = await createKey();
  const { json } = await api.exchangeKey(key.access_key, { scope: 'orders:read', resource: ordersResource });
  expect(json).toMatchObject({ scope: 'orders:read' });
  expect((await introspect(json['access_token'])).json).toMatchObject({ scope: 'orders:read' });
  for (const scope of ['orders:delete', 'invoices:read', 'nothing', 'orders:read orders:delete']) {
    expect(await api.exchangeKey(key.access_key, { scope })).toMatchObject({
      status: 400,
      json: { error: 'invalid_scope' },
    });
  }
  const elsewhere = { resource: 'https://elsewhere.example' };
  expect((await api.exchangeKey(key.access_key, elsewhere)).json).toMatchObject({ error: 'invalid_target' });
  const without = await createKey({ permissions: {} });
  expect((await api.exchangeKey(without.access_key)).json).toMatchObject({ error: 'invalid_scope' });
});

test('an exchanged token follows the permissions of its key, and ends with it', async () => {
  const key = await createKey();
  const tokens = await Promise.all(
    [1, 2].map(async () => (await api.exchangeKey(key.access_key)).json['access_token']),
  );
  await act(`/access-keys/${key.id}`, { permissions: { orders: ['read'] } }, 'PATCH');
  expect((await introspect(tokens[0])).json).toMatchObject({ scope: 'orders:read' });
  await act(`/access-keys/${key.id}`, { standalone: false }, 'PATCH');
  expect((await introspect(tokens[0])).text).toBe(inactive);
  await act(`/access-keys/${key.id}`, { standalone: true }, 'PATCH');
  expect((await introspect(tokens[0])).json).toMatchObject({ active: true });
  await act(`/access-keys/${key.id}/disable`);
  for (const token of tokens) expect((await introspect(token)).text).toBe(inactive);
});

test('an exchanged token can be bound to a key (DPoP), with a proof that works once', async () => {
  const key = await createKey();
  const pair = await makePair();
  const first = await makeDpopProof(pair, { htu: tokenUrl, nonce: undefined }, { claims: claims({}) });
  const refused = await api.exchangeKey(key.access_key, {}, { headers: { DPoP: first } });
  expect(refused.json).toMatchObject({ error: 'use_dpop_nonce' });
  const nonce = refused.headers['dpop-nonce'] as string;
  const proof = await makeDpopProof(pair, { htu: tokenUrl, nonce }, { claims: claims({ nonce }) });
  const bound = await api.exchangeKey(key.access_key, {}, { headers: { DPoP: proof } });
  expect(bound.json).toMatchObject({ token_type: 'DPoP' });
  const cnf = { jkt: await calculateJwkThumbprint(pair.publicJwk) };
  expect((await introspect(bound.json['access_token'])).json).toMatchObject({ cnf, token_type: 'DPoP' });
  expect((await api.exchangeKey(key.access_key, {}, { headers: { DPoP: proof } })).json).toMatchObject({
    error: 'invalid_dpop_proof',
  });
});

/** The clock of this server is not that of the machine. */
function claims(more: object) {
  return { iat: Math.floor(now / 1_000), ...more };
}

test('the answer to a retiring key says when it ends', async () => {
  const key = await createKey();
  expect((await api.exchangeKey(key.access_key)).headers).not.toHaveProperty('sunset');
  const { confirmation } = (await act(`/access-keys/${key.id}/regeneration/review`)).json;
  await act(`/access-keys/${key.id}/regenerate`, { confirmation, overlap_seconds: 600 });
  const { headers } = await api.exchangeKey(key.access_key);
  expect(headers['sunset']).toBe(new Date(Math.floor((now + 600_000) / 1_000) * 1_000).toUTCString());
  expect(headers['deprecation']).toMatch(/^@\d+$/);
  now += 600_000;
  expect((await api.exchangeKey(key.access_key)).json).toMatchObject({ error: 'invalid_request' });
});

test.each<[string, () => Promise<string>, Record<string, string>]>([
  ['a key that does not stand alone', async () => (await createKey({ standalone: false })).access_key, {}],
  ['an unknown key', async () => 'ktk_0000000000000000000000000000000000000000000000000', {}],
  ['a token', () => api.accessToken(clients.shop), {}],
  ['a key for another network', async () => (await createKey({ allowed_networks: ['10.0.0.0/8'] })).access_key, {}],
  ['an actor', async () => (await createKey()).access_key, { actor_token: 'x', actor_token_type: 'y' }],
  ['another kind of token wanted', async () => (await createKey()).access_key, { requested_token_type: 'urn:x' }],
])('refuses the exchange of %s with invalid_request', async (_, value, form) => {
  expect(await api.exchangeKey(await value(), form)).toMatchObject({ status: 400, json: { error: 'invalid_request' } });
});

test('wrong keys are limited by address, and a right one is still accepted', async () => {
  const key = await createKey();
  const unknown = 'ktk_0000000000000000000000000000000000000000000000000';
  const statuses = [];
  for (let time = 0; time < 22; time++) statuses.push((await api.exchangeKey(unknown)).status);
  expect(statuses.at(-1)).toBe(429);
  expect((await api.exchangeKey(key.access_key)).status).toBe(200);
});
