import { randomUUID } from 'node:crypto';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, registerAll, type TestClient } from './fixture.ts';
import { basicOf, post, send } from './http-client.ts';

const env = {
  KEYTURN_FAILURES_PER_MINUTE: '0',
  KEYTURN_TRUST_PROXY: '127.0.0.1',
  KEYTURN_STANDALONE_KEYS: 'on',
};
const inside = '203.0.113.9';
const outside = '198.51.100.7';
const networks = ['203.0.113.0/24', '2001:db8::/48'];

let server: AdminServer;
/** Another process on the same stores, without the fast path. */
let other: TestServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
let api: ReturnType<typeof endpointsOf>;
let now = Math.floor(Date.now() / 1_000) * 1_000;

beforeAll(async () => {
  server = await startAdminServer({ env, clock: () => now });
  other = await startTestServer({ stores: server.stores, env: { ...env, KEYTURN_FAST_PATH: 'off' }, clock: () => now });
  clients = await registerAll(server.core);
  api = endpointsOf(server.publicUrl);
});
afterAll(async () => {
  await other?.close();
  await server?.close();
});

const from = (address: string) => ({ headers: { 'X-Forwarded-For': address } });
const requestId = () => randomUUID();

async function integration(body: object): Promise<TestClient> {
  const { status, json } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Limited', kind: 'integration', scope: 'orders:read', ...body },
  });
  expect([status, json]).toEqual([201, expect.anything()]);
  return { id: json.client_id, secret: json.client_secret };
}
const change = (path: string, body: object) => server.adminFetch(path, { method: 'PATCH', body });
const report = async (path: string) => (await server.adminFetch(`${path}/allowed-networks`)).json;

it('accepts a client from its networks alone, and its rejection is that of a wrong secret in every byte', async () => {
  const client = await integration({ allowed_networks: networks });
  const wrong = { ...client, secret: generateSecret('kts_') };
  for (const { publicUrl } of [server, other]) {
    const { token } = endpointsOf(publicUrl);
    for (const address of [inside, inside, '2001:db8:0:7::1']) {
      expect((await token(client, {}, from(address))).status).toBe(200);
    }
    const unknown = await token(wrong, {}, from(inside));
    for (const address of [outside, '2001:db9::1', 'nonsense', `${inside}, ${outside}`]) {
      const refused = await token(client, {}, from(address));
      expect([refused.status, refused.text, refused.headers['www-authenticate']]).toEqual([
        401,
        unknown.text,
        unknown.headers['www-authenticate'],
      ]);
    }
  }
});

it('applies wherever a client authenticates: introspection, revocation, whoami, events and its own rotation', async () => {
  const client = await integration({ self_rotation: true });
  const token = await api.accessToken(client);
  const body = { allowed_networks: networks };
  for (const { id } of [client, clients.orders]) expect((await change(`/clients/${id}`, body)).status).toBe(200);
  const sendAs = (path: string, { id, secret }: TestClient, address: string, form: Record<string, string> = {}) =>
    post(`${server.publicUrl}${path}`, form, {
      basic: [id, secret],
      headers: { 'X-Forwarded-For': address, 'Idempotency-Key': requestId() },
    });
  for (const [path, caller, form] of [
    ['/oauth2/introspect', clients.orders, { token }],
    ['/oauth2/revoke', client, { token: 'kta_x' }],
    ['/oauth2/whoami', client, {}],
    ['/oauth2/credentials/rotate', client, {}],
  ] as const) {
    expect([path, (await sendAs(path, caller, outside, form)).status]).toEqual([path, 401]);
    expect([path, (await sendAs(path, caller, inside, form)).status]).toEqual([path, 200]);
  }
  const headers = { 'X-Forwarded-For': outside, Authorization: basicOf(clients.orders.id, clients.orders.secret) };
  expect((await send(`${server.publicUrl}/oauth2/events`, { headers })).status).toBe(401);
  await change(`/clients/${clients.orders.id}`, { allowed_networks: null });
});

it('explains a rejection to operators, and counts it as a use that was refused', async () => {
  const client = await integration({ allowed_networks: networks });
  const refused = await api.token(client, {}, from(outside));
  await server.core.usage.flush();
  const id = refused.headers['x-request-id'];
  const explained = await server.adminFetch('/explain', { method: 'POST', body: { value: id } });
  expect(explained.text).toContain('is accepted only from these networks: 203.0.113.0/24, 2001:db8::/48');
  const usage = (await server.adminFetch(`/clients/${client.id}/usage?hours=1`)).json;
  expect(usage.secrets[0].sources).toMatchObject([{ address: outside, refused: 1, refused_as: 'other_network' }]);
});

it('accepts and counts in the mode watch what enforce would reject, and starts again for other networks', async () => {
  const client = await integration({ allowed_networks: networks, network_mode: 'watch' });
  const path = `/clients/${client.id}`;
  for (const address of [inside, outside, outside, '192.0.2.1']) {
    expect((await api.token(client, {}, from(address))).status).toBe(200);
    expect((await endpointsOf(other.publicUrl).token(client, {}, from(address))).status).toBe(200);
  }
  await other.core.usage.flush();
  expect(await report(path)).toMatchObject({
    network_mode: 'watch',
    outside: { requests: 6, last_address: '192.0.2.1', last_at: new Date(now).toISOString() },
  });
  await change(path, { allowed_networks: [...networks, '198.51.100.0/24'] });
  expect((await report(path)).outside).toEqual({ requests: 0, since: null, last_at: null, last_address: null });
  for (const address of [outside, '192.0.2.1']) await api.token(client, {}, from(address));
  expect((await report(path)).outside).toMatchObject({ requests: 1, last_address: '192.0.2.1' });
  await change(path, { network_mode: 'enforce' });
  expect((await api.token(client, {}, from('192.0.2.1'))).status).toBe(401);
  expect((await api.token(client, {}, from(outside))).status).toBe(200);
});

it('a change reaches every process, and widening it is accepted at once', async () => {
  const client = await integration({});
  const there = endpointsOf(other.publicUrl);
  const statuses = async () =>
    Promise.all([api, there].map(async ({ token }) => (await token(client, {}, from(outside))).status));
  expect(await statuses()).toEqual([200, 200]);
  await change(`/clients/${client.id}`, { allowed_networks: networks });
  await eventually(async () => (await statuses()).every((status) => status === 401));
  await change(`/clients/${client.id}`, { allowed_networks: ['0.0.0.0/0'] });
  expect(await statuses()).toEqual([200, 200]);
});

it('proposes the networks of the last 30 days for clients, access keys and operator tokens', async () => {
  const client = await integration({});
  const path = `/clients/${client.id}`;
  await api.token(client, {}, from('192.0.2.77'));
  await server.core.usage.flush();
  now += 31 * 86_400_000;
  for (const address of [inside, '203.0.113.10', '2001:db8:0:7::1']) await api.token(client, {}, from(address));
  const proposal = await report(path);
  expect([...proposal.proposed].sort()).toEqual(['2001:db8:0:7::/64', '203.0.113.0/24']);
  expect(proposal).toMatchObject({ complete: true, allowed_networks: null });
  expect(proposal.seen.find((each: { network: string }) => each.network === '203.0.113.0/24').addresses).toBe(2);
  expect((await change(path, { allowed_networks: proposal.proposed })).status).toBe(200);
  expect((await api.token(client, {}, from('203.0.113.200'))).status).toBe(200);
  await api.token(client, {}, from('nonsense'));
  await change(path, { network_mode: 'watch' });
  await api.token(client, {}, from('nonsense'));
  expect(await report(path)).toMatchObject({ complete: false });

  const contact = { name: 'Ann', email: 'ann@example.com' };
  const { id } = (await server.adminFetch('/contacts', { method: 'POST', body: contact })).json;
  const body = { name: 'alone', standalone: true, permissions: { orders: ['read'] } };
  const key = (await server.adminFetch(`/contacts/${id}/access-keys`, { method: 'POST', body })).json;
  await api.exchangeKey(key.access_key, {}, from(inside));
  await api.introspect(clients.orders, key.access_key, { client_address: '192.0.2.5' }, from(outside));
  const ofKey = await report(`/access-keys/${key.id}`);
  expect([...ofKey.proposed].sort()).toEqual(['192.0.2.0/24', '203.0.113.0/24']);
  const watched = { allowed_networks: ['203.0.113.0/24'], network_mode: 'watch' };
  await change(`/access-keys/${key.id}`, watched);
  const seen = await api.introspect(clients.orders, key.access_key, { client_address: '192.0.2.5' }, from(inside));
  expect(seen.json['active']).toBe(true);
  const withKey = { access_key: key.access_key };
  expect((await api.token(client, withKey, from('203.0.113.9'))).status).toBe(200);
  await api.token(client, withKey, from('203.0.113.9'));
  expect((await report(`/access-keys/${key.id}`)).outside).toMatchObject({ requests: 1, last_address: '192.0.2.5' });
});

it('limits operator tokens in the same way, and lets their owner change the networks but not the token itself', async () => {
  const owner = await server.operator();
  const made = { name: 'Pipeline', allowed_networks: networks, network_mode: 'watch' };
  const { json } = await server.adminFetch('/operator-tokens', { method: 'POST', token: owner.token, body: made });
  const path = `/operator-tokens/${json.id}`;
  const use = async (address: string) =>
    (await server.adminFetch('/me', { token: json.operator_token, headers: { 'x-forwarded-for': address } })).status;
  expect([await use(inside), await use(outside)]).toEqual([200, 200]);
  expect(await report(path)).toMatchObject({
    network_mode: 'watch',
    outside: { requests: 1, last_address: outside },
    proposed: expect.arrayContaining(['198.51.100.0/24']),
  });
  const byItself = { method: 'PATCH', token: json.operator_token, body: { allowed_networks: null } };
  expect((await server.adminFetch(path, { ...byItself, headers: { 'x-forwarded-for': inside } })).status).toBe(403);
  const changed = await server.adminFetch(path, {
    method: 'PATCH',
    token: owner.token,
    body: { network_mode: 'enforce' },
  });
  expect(changed.json).toMatchObject({ allowed_networks: networks, network_mode: 'enforce' });
  expect([await use(inside), await use(outside)]).toEqual([200, 401]);
  const stranger = await server.operator(['integrations:view']);
  expect((await server.adminFetch(`${path}/allowed-networks`, { token: stranger.token })).status).toBe(404);
});

it('rejects what is not a network, and lets only managers of credentials widen the networks of a client', async () => {
  const client = await integration({ allowed_networks: networks });
  const path = `/clients/${client.id}`;
  for (const list of [[], ['203.0.113.0/33'], ['example.com'], ['::ffff:10.0.0.0/104'], Array(51).fill('10.0.0.1')]) {
    expect([list, (await change(path, { allowed_networks: list })).status]).toEqual([list, 400]);
  }
  const { token } = await server.operator(['integrations:view', 'integrations:edit']);
  const edit = async (body: object) => (await server.adminFetch(path, { method: 'PATCH', token, body })).status;
  expect(await edit({ allowed_networks: ['203.0.113.0/24'] })).toBe(200);
  for (const body of [
    { allowed_networks: null },
    { allowed_networks: ['203.0.113.0/24', '198.51.100.0/24'] },
    { network_mode: 'watch' },
  ]) {
    expect([body, await edit(body)]).toEqual([body, 403]);
  }
});
