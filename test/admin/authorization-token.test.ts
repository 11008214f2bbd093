import { endpointsOf } from '../oauth/fixture.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

describe.each([
  ['Redis', {}],
  ['the database', { REDIS_URL: undefined }],
  ['the embedded database', { REDIS_URL: undefined, DATABASE_URL: undefined }],
])('an API authorization token stored in %s', (where, env) => {
  let server: AdminServer;
  let api: { id: string; secret: string };
  let now = Date.UTC(2030, 0, 1);

  beforeAll(async () => {
    const dataDir = where.startsWith('the embedded') ? { KEYTURN_DATA_DIR: await temporaryDirectory() } : {};
    server = await startAdminServer({ clock: () => now, env: { ...env, ...dataDir } });
    const { json } = await server.adminFetch('/clients', {
      method: 'POST',
      body: { name: 'API', kind: 'resource_server', resource: 'https://api.example', information: ['orders'] },
    });
    api = { id: json.client_id, secret: json.client_secret };
  });
  afterAll(() => server.close());

  async function newClient() {
    const body = { name: 'Shop', kind: 'integration', scope: 'orders:read orders:create' };
    const { json } = await server.adminFetch('/clients', { method: 'POST', body });
    return { id: json.client_id as string, secret: json.client_secret as string };
  }

  const path = (id: string) => `/clients/${id}/authorization-token`;
  const issue = (id: string, body: object = {}) => server.adminFetch(path(id), { method: 'POST', body });
  const isActive = async (token: string) => (await endpointsOf(server.publicUrl).introspect(api, token)).json['active'];

  test('is active for one hour and is returned only when it is issued', async () => {
    const client = await newClient();
    const operator = await server.operator(['api_key:manage']);
    const { status, json } = await server.adminFetch(path(client.id), { method: 'POST', token: operator.token });
    expect(status).toBe(201);
    expect(json).toEqual({
      access_token: expect.stringMatching(/^kta_/),
      token_type: 'Bearer',
      expires_in: 3600,
      scope: 'orders:read orders:create',
    });
    expect(await isActive(json.access_token)).toBe(true);
    const known = await server.adminFetch(path(client.id));
    expect(known.json).toEqual({
      issued_at: new Date(now).toISOString(),
      issued_by: 'Operator api_key:manage',
      expires_at: new Date(now + 3_600_000).toISOString(),
      scope: 'orders:read orders:create',
    });
    now += 3_600_000;
    expect(await isActive(json.access_token)).toBe(false);
    expect((await server.adminFetch(path(client.id))).status).toBe(404);
  });

  test('replaces the previous token immediately and leaves the client credentials valid', async () => {
    const client = await newClient();
    const oauth = endpointsOf(server.publicUrl);
    const own = await oauth.accessToken(client);
    const first = await issue(client.id);
    const second = await issue(client.id, { scope: 'orders:read' });
    expect(second.json.scope).toBe('orders:read');
    expect(await isActive(first.json.access_token)).toBe(false);
    expect(await isActive(second.json.access_token)).toBe(true);
    expect(await isActive(own)).toBe(true);
    expect((await oauth.token(client)).status).toBe(200);
  });

  test('leaves one active token after ten concurrent requests', async () => {
    const client = await newClient();
    const answers = await Promise.all(Array.from({ length: 10 }, () => issue(client.id)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([201]));
    const live = await Promise.all(answers.map(({ json }) => isActive(json.access_token)));
    expect(live.filter(Boolean)).toHaveLength(1);
  });

  test.each(['revoking it', 'revoking all tokens', 'disabling the client'])('becomes inactive by %s', async (what) => {
    const client = await newClient();
    const { json } = await issue(client.id);
    if (what === 'revoking it') await server.adminFetch(path(client.id), { method: 'DELETE' });
    else if (what === 'revoking all tokens')
      await server.adminFetch(`/clients/${client.id}/tokens/revoke`, { method: 'POST' });
    else await server.adminFetch(`/clients/${client.id}/disable`, { method: 'POST' });
    expect(await isActive(json.access_token)).toBe(false);
    expect((await server.adminFetch(path(client.id))).status).toBe(404);
    expect((await server.adminFetch(path(client.id), { method: 'DELETE' })).status).toBe(404);
  });

  test('is not issued for invalid scopes or resources, resource servers or disabled clients', async () => {
    const client = await newClient();
    const code = async (answer: Promise<{ json: { code: string } }>) => (await answer).json.code;
    expect(await code(issue(client.id, { scope: 'orders:delete' }))).toBe('invalid_scope');
    expect(await code(issue(client.id, { resource: 'https://nobody.example' }))).toBe('invalid_target');
    expect(await code(issue(api.id))).toBe('not_an_integration');
    expect((await issue(client.id, { resource: 'https://api.example' })).status).toBe(201);
    await server.adminFetch(`/clients/${client.id}/disable`, { method: 'POST' });
    expect(await code(issue(client.id))).toBe('client_is_disabled');
  });

  test('is not issued to a client that requires DPoP, and is revoked when the client starts to require it', async () => {
    const client = await newClient();
    const { json } = await issue(client.id);
    const { headers } = await server.adminFetch(`/clients/${client.id}`);
    const change = {
      method: 'PATCH',
      body: { dpop_bound_access_tokens: true },
      headers: { 'If-Match': headers.get('etag') ?? '' },
    };
    expect((await server.adminFetch(`/clients/${client.id}`, change)).status).toBe(200);
    expect(await isActive(json.access_token)).toBe(false);
    expect((await server.adminFetch(path(client.id))).status).toBe(404);
    expect((await issue(client.id)).json.code).toBe('client_binds_tokens');
  });
});

async function temporaryDirectory(): Promise<string> {
  const { mkdtemp } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  return await mkdtemp(join(tmpdir(), 'keyturn-admin-'));
}
