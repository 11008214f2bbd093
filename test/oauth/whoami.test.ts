import { createAccessKey } from '../../src/access-keys/manage-access-keys.ts';
import { createContact } from '../../src/contacts/manage-contacts.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { askWith, makeKey, makeSelfSigned, proofEnv, registrationOf } from '../regeneration/proof.ts';
import { actor, endpointsOf, invoicesResource, ordersResource, registerAll, type TestClient } from './fixture.ts';
import { type Answer, send } from './http-client.ts';

/** Within a second, and near the real time, because certificates are valid from about then on. */
const now = Math.floor(Date.now() / 1_000) * 1_000 + 700;
let server: AdminServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let url: string;

beforeAll(async () => {
  server = await startAdminServer({
    clock: () => now,
    env: { KEYTURN_FAILURES_PER_MINUTE: '0', KEYTURN_TRUST_PROXY: '127.0.0.1' },
  });
  clients = await registerAll(server.core);
  url = `${server.publicUrl}/oauth2/whoami`;
});
afterAll(() => server?.close());

const basic = ({ id, secret }: TestClient) => `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;

const ask = (client: TestClient, headers: Record<string, string> = {}): Promise<Answer> =>
  send(url, { headers: { Authorization: basic(client), ...headers } });

const post = (client: TestClient, form: Record<string, string>): Promise<Answer> =>
  send(url, {
    method: 'POST',
    headers: { Authorization: basic(client), 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
  });

it('describes the credential, the scope, the address and the clock of an authenticated client', async () => {
  const { shop } = clients;
  const answer = await ask(shop, {
    Date: new Date(now + 120_000).toUTCString(),
    'X-Forwarded-For': '203.0.113.8:40001',
    'Keyturn-Instance': 'orders-sync-0',
  });
  expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
  expect(answer.json).toEqual({
    client_id: shop.id,
    name: 'Shop',
    kind: 'integration',
    auth_method: 'client_secret_basic',
    credential: {
      kind: 'client_secret',
      hint: `…${shop.secret.slice(-4)}`,
      created_at: new Date(now).toISOString(),
      age_seconds: 0,
      expires_at: null,
    },
    scope: 'orders:read orders:create products:read',
    address: '203.0.113.8',
    instance: 'orders-sync-0',
    server_time: new Date(now).toISOString(),
    clock_difference_seconds: 120,
  });
});

it('has no address, instance or clock difference if the request has none that can be read', async () => {
  const { json } = await ask(clients.shop, { 'X-Forwarded-For': 'somewhere', Date: 'yesterday' });
  expect(json).toMatchObject({ address: null, instance: null, clock_difference_seconds: null });
  expect((await ask(clients.shop)).json).toMatchObject({ address: '127.0.0.1', clock_difference_seconds: null });
});

it('tells until when a previous secret is valid, and no longer answers to it afterwards', async () => {
  const { adminFetch } = server;
  const client = clients.partner;
  const { json: reviewed } = await adminFetch(`/clients/${client.id}/regeneration/review`, { method: 'POST' });
  const { json } = await adminFetch(`/clients/${client.id}/regenerate`, {
    method: 'POST',
    body: { confirmation: reviewed['confirmation'], overlap_seconds: 3_600 },
  });
  const end = new Date(now + 3_600_000);
  const previous = await ask(client);
  expect(previous.json).toMatchObject({ credential: { expires_at: end.toISOString() } });
  expect(previous.headers['sunset']).toBe(end.toUTCString());
  const current = { id: client.id, secret: String(json['client_secret']) };
  expect((await ask(current)).json).toMatchObject({ credential: { expires_at: null } });

  const finish = `/clients/${client.id}/regenerations/${String(json['regeneration_id'])}/finish`;
  expect((await adminFetch(finish, { method: 'POST' })).status).toBe(200);
  expect((await ask(client)).status).toBe(401);
});

it('has the scope that a token request with the same access key and resource would get', async () => {
  const { core } = server;
  const contact = await core.change((tx) =>
    createContact(
      tx,
      core,
      { ...actor, permissions: [], organizationId: null },
      { name: 'Ann', email: 'ann@example.com' },
    ),
  );
  const input = { name: 'reader', permissions: { orders: ['read'] as const, invoices: ['read'] as const } };
  const { key, accessKey } = await core.change((tx) => createAccessKey(tx, core, actor, contact.id, input));
  const api = endpointsOf(server.publicUrl);
  for (const form of [
    {},
    { access_key: accessKey },
    { resource: ordersResource },
    { resource: ordersResource, access_key: accessKey },
    { resource: 'https://unknown.example' },
  ]) {
    const [told, issued] = [await post(clients.shop, form), await api.token(clients.shop, form)];
    expect([form, told.status, told.json['scope']]).toEqual([form, issued.status, issued.json['scope']]);
  }
  const { json } = await post(clients.shop, { access_key: accessKey });
  expect(json['access_key']).toMatchObject({ id: key.id, name: 'reader', hint: `…${accessKey.slice(-4)}` });
  expect((await post(clients.shop, { access_key: `${accessKey.slice(0, -1)}x` })).json['error']).toBe('invalid_grant');
  expect((await post(clients.shop, { resource: invoicesResource })).json['scope']).toBe('');
});

it('describes a resource server without a scope', async () => {
  const { json } = await ask(clients.orders);
  expect(json).toMatchObject({ kind: 'resource_server', client_id: clients.orders.id });
  expect(json).not.toHaveProperty('scope');
});

it('gives a caller that cannot authenticate the same 401 as a token request, and issues nothing', async () => {
  const api = endpointsOf(server.publicUrl);
  for (const client of [
    { ...clients.shop, secret: clients.partner.secret },
    { id: 'kti_0000000000000000000000', secret: clients.shop.secret },
  ]) {
    const [told, issued] = [await ask(client), await api.token(client)];
    expect([told.status, told.text]).toEqual([issued.status, issued.text]);
    expect(told.status).toBe(401);
  }
  expect((await send(url)).status).toBe(401);
  expect((await send(url, { method: 'DELETE' })).headers['allow']).toBe('GET, POST');
});

describe('a client without a secret', () => {
  let keyless: AdminServer;
  beforeAll(async () => {
    keyless = await startAdminServer({ clock: () => now, env: proofEnv });
  });
  afterAll(() => keyless?.close());

  it.each([
    ['key', () => makeKey()],
    ['certificate', async () => makeSelfSigned()],
  ] as const)('learns by which %s it was authenticated', async (kind, make) => {
    const proof = await make();
    const body = { name: kind, kind: 'integration', ...registrationOf(proof) };
    const { json } = await keyless.adminFetch('/clients', { method: 'POST', body });
    const answer = await askWith(`${keyless.publicUrl}/oauth2/whoami`, json.client_id, proof, { now, form: {} });
    expect(answer.json).toMatchObject({
      auth_method: body.auth_method,
      credential: {
        kind,
        kid: proof.kind === 'key' ? proof.kid : null,
        thumbprint: expect.stringMatching(/^[\w-]{43}$/),
        hint: null,
        age_seconds: 0,
        expires_at: null,
      },
    });
  });
});
