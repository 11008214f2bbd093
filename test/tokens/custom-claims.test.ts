import { decodeJwt } from 'jose';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventually } from '../eventually.ts';
import { startTestServer, type TestServer } from '../harness.ts';
import { endpointsOf, register, registerBothFormats, type TestClient } from '../oauth/fixture.ts';

const resources = { opaque: 'https://opaque.example', jwt: 'https://jwt.example' };
let now = Date.now();
let server: AdminServer;
/** Another process of the same deployment. */
let beside: TestServer;
let api: ReturnType<typeof endpointsOf>;
let apis: Record<'opaque' | 'jwt', TestClient>;

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  beside = await startTestServer({ clock: () => now, stores: server.stores });
  api = endpointsOf(server.publicUrl);
  apis = await registerBothFormats(server.core, resources);
});
afterAll(async () => {
  await beside?.close();
  await server?.close();
});

const integration = (given: object = {}) =>
  register(server.core, { name: 'Sync', kind: 'integration', scope: 'orders:read orders:update', ...given });
const patch = async (path: string, body: object) => {
  const { status, text } = await server.adminFetch(path, { method: 'PATCH', body });
  if (status !== 200) throw new Error(text);
};
const changeClient = (client: TestClient, body: object) => patch(`/clients/${client.id}`, body);

describe.each(['opaque', 'jwt'] as const)('custom claims of an %s token', (format) => {
  const resource = resources[format];
  afterEach(() => changeClient(apis[format], { claims: {} }));

  it('are in every introspection, and follow changes of their owner', async () => {
    const client = await integration({ claims: { tenant: 'acme', level: 3 } });
    const token = await api.accessToken(client, { resource });
    const read = async () => (await api.introspect(apis[format], token)).json;
    expect(await read()).toMatchObject({ active: true, tenant: 'acme', level: 3, client_id: client.id });
    await changeClient(client, { claims: { tenant: 'other' } });
    const after = await read();
    expect(after).toMatchObject({ active: true, tenant: 'other' });
    expect(after).not.toHaveProperty('level');
    const elsewhere = endpointsOf(beside.publicUrl);
    await eventually(async () => (await elsewhere.introspect(apis[format], token)).json['tenant'] === 'other');
    await changeClient(client, { claims: {} });
    expect(Object.keys(await read())).not.toContain('tenant');
  });

  it('are those of the access key before those of the client before those of the resource server', async () => {
    await changeClient(apis[format], { claims: { who: 'server', server: 1, both: 'server' } });
    const client = await integration({ claims: { who: 'client', client: 1, both: 'client' } });
    const { json: contact } = await server.adminFetch('/contacts', {
      method: 'POST',
      body: { name: 'Ann', email: 'ann@example.com' },
    });
    const { json: key } = await server.adminFetch(`/contacts/${contact.id}/access-keys`, {
      method: 'POST',
      body: { name: 'Key', permissions: { orders: ['read'] }, claims: { who: 'key', key: 1 } },
    });
    const merged = { who: 'key', server: 1, client: 1, key: 1, both: 'client' };
    const token = await api.accessToken(client, { resource, access_key: key.access_key });
    expect((await api.introspect(apis[format], token)).json).toMatchObject(merged);
    if (format === 'jwt') expect(decodeJwt(token)).toMatchObject(merged);
    // A key that the API presents counts as the key of the token.
    const without = await api.accessToken(client, { resource });
    expect((await api.introspect(apis[format], without)).json).toMatchObject({ who: 'client' });
    const presented = await api.introspect(apis[format], without, { access_key: key.access_key });
    expect(presented.json).toMatchObject(merged);
    await patch(`/access-keys/${key.id}`, { claims: {} });
    const { json: after } = await api.introspect(apis[format], token);
    expect(after).toMatchObject({ who: 'client' });
    expect(after).not.toHaveProperty('key');
  });
});

describe('the lifetime of a token', () => {
  const lifetime = async (client: TestClient, form: Record<string, string> = {}) => {
    const { json } = await api.token(client, form);
    const token = String(json['access_token']);
    for (const at of Object.values(apis)) {
      const live = (await api.introspect(at, token)).json;
      if (live['active']) expect(Number(live['exp']) - Number(live['iat'])).toBe(json['expires_in']);
    }
    return json['expires_in'];
  };
  afterEach(async () => {
    for (const one of Object.values(apis)) await changeClient(one, { access_token_ttl: null });
  });

  it('is the shorter one of its client and its resource server, and otherwise that of the deployment', async () => {
    const [client, long] = [await integration({ tokenTtlSeconds: 900 }), await integration({ tokenTtlSeconds: 7_200 })];
    const plain = await integration();
    const resource = resources.opaque;
    expect(await lifetime(client, { resource })).toBe(900);
    expect(await lifetime(long, { resource })).toBe(7_200);
    await changeClient(apis.opaque, { access_token_ttl: 60 });
    expect(await lifetime(client, { resource })).toBe(60);
    expect(await lifetime(plain, { resource })).toBe(60);
    expect(await lifetime(plain, { resource: resources.jwt })).toBe(3_600);
    await changeClient(apis.opaque, { access_token_ttl: 86_400 });
    expect(await lifetime(client, { resource })).toBe(900);
    expect(await lifetime(plain, { resource })).toBe(86_400);
  });

  it('is not longer for a request that names no resource', async () => {
    await register(server.core, {
      name: 'Invoices API',
      kind: 'resource_server',
      resource: 'https://invoices.example',
      information: ['invoices'],
      tokenTtlSeconds: 120,
    });
    const client = await integration({ scope: 'invoices:read' });
    expect(await lifetime(client)).toBe(120);
    // A token without scope is valid at each API.
    expect(await lifetime(await integration({ scope: '' }))).toBe(120);
  });

  it('may be longer than that of the deployment for a JWT, in every process', async () => {
    const client = await integration({ tokenTtlSeconds: 86_400 });
    const token = await api.accessToken(client, { resource: resources.jwt });
    const { exp, iat } = decodeJwt(token);
    expect(Number(exp) - Number(iat)).toBe(86_400);
    const elsewhere = endpointsOf(beside.publicUrl);
    await eventually(async () => (await elsewhere.introspect(apis.jwt, token)).json['active'] === true);
    // The key stays published for as long.
    await server.adminFetch('/signing-keys/rotate', { method: 'POST', body: {} });
    await server.adminFetch('/signing-keys/rotate', { method: 'POST', body: {} });
    now += 80_000_000;
    expect((await api.introspect(apis.jwt, token)).json).toMatchObject({ active: true });
  });

  it('is how long its revocation is kept, and how long it counts as live', async () => {
    const client = await integration({ tokenTtlSeconds: 86_400 });
    const token = await api.accessToken(client, { resource: resources.opaque });
    expect((await api.revoke(client, token)).status).toBe(200);
    const revoked = await server.core.database.query<{ expires_at: Date }>(
      `SELECT expires_at FROM changes WHERE kind = 'token' ORDER BY seq DESC LIMIT 1`,
    );
    expect(Number(revoked[0]?.expires_at)).toBeGreaterThanOrEqual(now + 86_400_000 - 1_000);
    await server.core.usage.flush();
    const live = await server.core.database.query<{ expires_at: Date }>(
      `SELECT expires_at FROM usage_live_tokens ORDER BY expires_at DESC LIMIT 1`,
    );
    expect(Number(live[0]?.expires_at)).toBeGreaterThanOrEqual(now + 86_400_000 - 1_000);
  });
});

describe('the default scope of a client', () => {
  it('is granted if no scope is requested, and limits nothing else', async () => {
    const client = await integration({ defaultScope: 'orders:read' });
    expect((await api.token(client, { resource: resources.opaque })).json['scope']).toBe('orders:read');
    const asked = await api.token(client, { scope: 'orders:read orders:update', resource: resources.opaque });
    expect(asked.json['scope']).toBe('orders:read orders:update');
  });

  it('does not add scopes to a token that was issued before it grew', async () => {
    const client = await integration({ defaultScope: 'orders:read' });
    const token = await api.accessToken(client, { resource: resources.opaque });
    await changeClient(client, { default_scope: 'orders:read orders:update' });
    expect((await api.introspect(apis.opaque, token)).json).toMatchObject({ scope: 'orders:read' });
    await changeClient(client, { scope: 'orders:update', default_scope: null });
    expect((await api.introspect(apis.opaque, token)).json).toEqual({ active: false });
  });

  it('makes a request without scope fail if nothing of it can be granted', async () => {
    const client = await integration({ defaultScope: '' });
    expect(await api.token(client, { resource: resources.opaque })).toMatchObject({
      status: 400,
      json: { error: 'invalid_scope' },
    });
    expect((await api.token(client, { scope: 'orders:read' })).status).toBe(400);
    expect((await api.token(client, { scope: 'orders:read', resource: resources.opaque })).status).toBe(200);
  });
});
