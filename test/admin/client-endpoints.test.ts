import { endpointsOf } from '../oauth/fixture.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let now = Date.UTC(2030, 0, 1);

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  await create({
    name: 'Orders API',
    kind: 'resource_server',
    resource: 'https://orders.example',
    information: ['orders', 'products'],
    token_format: 'jwt',
  });
});
afterAll(() => server.close());

async function create(body: object) {
  const answer = await server.adminFetch('/clients', { method: 'POST', body });
  expect([answer.status, answer.json.code]).toEqual([201, undefined]);
  return answer.json;
}

const integration = (fields: object = {}) =>
  create({ name: 'Shop', kind: 'integration', scope: 'orders:read orders:create', ...fields });

const patch = (id: string, body: unknown, headers: Record<string, string> = {}) =>
  server.adminFetch(`/clients/${id}`, { method: 'PATCH', body, headers });

const act = (id: string, what: string) => server.adminFetch(`/clients/${id}/${what}`, { method: 'POST' });

test('returns the secret only in the response that generates it, and later only a hint', async () => {
  const { status, headers, json } = await server.adminFetch('/clients', {
    method: 'POST',
    body: { name: 'Shop', kind: 'integration', scope: 'orders:read orders:create' },
  });
  expect(status).toBe(201);
  expect(json.client_id).toMatch(/^kti_[0-9A-Za-z]{22}$/);
  expect(json.client_secret).toMatch(/^kts_[0-9A-Za-z]{49}$/);
  expect(headers.get('location')).toBe(`/admin/v1/clients/${json.client_id}`);
  expect(headers.get('etag')).toBe('"1"');
  const { client_secret: secret, ...shown } = json;
  const later = await server.adminFetch(`/clients/${json.client_id}`);
  expect(later.json).toEqual(shown);
  expect(later.text.includes(secret)).toBe(false);
  expect(later.json).toMatchObject({
    name: 'Shop',
    status: 'enabled',
    scope: 'orders:read orders:create',
    auth_method: 'client_secret_basic',
    secrets: [{ hint: `…${secret.slice(-4)}`, client_id: json.client_id, status: 'current', retires_at: null }],
  });
  const list = await server.adminFetch('/clients?limit=200');
  expect(list.text.includes(secret)).toBe(false);
});

test('issues an access token for generated credentials', async () => {
  const { client_id: id, client_secret: secret } = await integration();
  const { status, json } = await endpointsOf(server.publicUrl).token({ id, secret });
  expect([status, json['scope']]).toEqual([200, 'orders:read orders:create']);
});

test('changes only the fields in a PATCH request', async () => {
  const client = await integration({ resource: 'https://orders.example', access_key: 'required' });
  const { json: renamed } = await patch(client.client_id, { name: 'Shop 2' });
  const { client_secret: _secret, ...before } = client;
  expect(renamed).toEqual({ ...before, name: 'Shop 2', updated_at: renamed.updated_at });
  const { json: narrowed } = await patch(client.client_id, { scope: 'orders:read', resource: null });
  expect(narrowed).toMatchObject({ name: 'Shop 2', scope: 'orders:read', resource: null, access_key: 'required' });
});

test('keeps the revision after an empty PATCH request', async () => {
  const client = await integration();
  const { status, headers } = await patch(client.client_id, {});
  expect([status, headers.get('etag')]).toEqual([200, '"1"']);
});

test.each([
  { client_id: 'kti_0000000000000000000000' },
  { kind: 'resource_server' },
  { status: 'disabled' },
  { reveal: true },
  { client_secret: 'x' },
  { information: ['orders'] },
  { token_format: 'jwt' },
  { scope: 'nobody:offers' },
  { name: null },
])('rejects a PATCH request with %j without changes', async (body) => {
  const client = await integration();
  expect((await patch(client.client_id, { name: 'Other', ...body })).status).toBe(400);
  expect((await server.adminFetch(`/clients/${client.client_id}`)).json.name).toBe('Shop');
});

test('rejects a change of a client with an outdated If-Match', async () => {
  const { client_id: id } = await integration();
  const etag = (await server.adminFetch(`/clients/${id}`)).headers.get('etag') ?? '';
  const first = await patch(id, { name: 'First' }, { 'if-match': etag });
  expect([first.status, first.headers.get('etag')]).toEqual([200, '"2"']);
  const second = await patch(id, { name: 'Second' }, { 'if-match': etag });
  expect([second.status, second.json.code]).toEqual([412, 'precondition_failed']);
  expect((await patch(id, { name: 'Weak' }, { 'if-match': 'W/"2"' })).status).toBe(412);
  expect((await patch(id, { name: 'Bare' }, { 'if-match': '2' })).status).toBe(412);
  expect((await server.adminFetch(`/clients/${id}`)).json.name).toBe('First');
  expect((await patch(id, { name: 'Any' }, { 'if-match': '*' })).status).toBe(200);
});

test('accepts a list of entity tags in If-Match if one of them is current', async () => {
  const { client_id: id } = await integration();
  const change = async (tags: string) => (await patch(id, { name: 'Listed' }, { 'if-match': tags })).status;
  expect(await change('"1", "7"')).toBe(200);
  expect(await change('W/"9" ,"8",, "2",')).toBe(200);
  expect(await change('"a,\\b", "3"')).toBe(200);
  for (const wrong of ['', ',', '"1", "2"', 'W/"4"', '"4" "4"', '4', '"4', '*, "4"'])
    expect(await change(wrong)).toBe(412);
});

test('lists the first ten clients and the total number if removed information is still in use', async () => {
  const server1 = await create({
    name: 'Crowded API',
    kind: 'resource_server',
    resource: 'https://crowded.example',
    information: ['crowds'],
  });
  for (let count = 0; count < 12; count++) await integration({ scope: 'crowds:read' });
  const { status, json } = await patch(server1.client_id, { information: [] });
  expect([status, json.code, json.clients.length, json.total]).toEqual([409, 'information_in_use', 10, 12]);
});

test('accepts one of two concurrent changes with the same If-Match', async () => {
  const { client_id: id } = await integration();
  const answers = await Promise.all(['A', 'B'].map((name) => patch(id, { name }, { 'if-match': '"1"' })));
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 412]);
});

test('accepts one of four concurrent resource servers with the same resource identifier', async () => {
  const body = { name: 'Twin', kind: 'resource_server', resource: 'https://twin.example', information: ['twins'] };
  const answers = await Promise.all([1, 2, 3, 4].map(() => server.adminFetch('/clients', { method: 'POST', body })));
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409]);
  expect(answers.find(({ status }) => status === 409)?.json.code).toBe('resource_taken');
});

test('revokes live tokens when a client is disabled, and accepts only its secret when it is enabled again', async () => {
  const { client_id: id, client_secret: secret } = await integration();
  const api = await create({
    name: 'Parcels API',
    kind: 'resource_server',
    resource: 'https://parcels.example',
    information: ['parcels'],
  });
  await patch(id, { scope: 'parcels:read' });
  const oauth = endpointsOf(server.publicUrl);
  const token = await oauth.accessToken({ id, secret });
  const introspect = async () =>
    (await oauth.introspect({ id: api.client_id, secret: api.client_secret }, token)).json['active'];
  expect(await introspect()).toBe(true);
  expect((await act(id, 'disable')).json.status).toBe('disabled');
  expect(await introspect()).toBe(false);
  expect((await oauth.token({ id, secret })).status).toBe(401);
  expect((await act(id, 'enable')).json.status).toBe('enabled');
  expect(await introspect()).toBe(false);
  expect((await oauth.token({ id, secret })).status).toBe(200);
});

test('returns and stores the time before which issued tokens are revoked', async () => {
  const { client_id: id } = await integration();
  const { status, json } = await act(id, 'tokens/revoke');
  expect([status, json]).toEqual([200, { client_id: id, tokens_not_before: new Date(now).toISOString() }]);
  expect((await server.adminFetch(`/clients/${id}`)).json.tokens_not_before).toBe(json.tokens_not_before);
});

test('deletes a client only if it is disabled', async () => {
  const { client_id: id, client_secret: secret } = await integration();
  const refused = await server.adminFetch(`/clients/${id}`, { method: 'DELETE' });
  expect([refused.status, refused.json.code]).toEqual([409, 'client_is_enabled']);
  await act(id, 'disable');
  expect((await server.adminFetch(`/clients/${id}`, { method: 'DELETE' })).status).toBe(204);
  expect((await server.adminFetch(`/clients/${id}`)).status).toBe(404);
  expect((await endpointsOf(server.publicUrl).token({ id, secret })).status).toBe(401);
});

test('filters the list of clients by text, status and kind', async () => {
  const { client_id: id } = await integration({ name: 'Needle 100%_' });
  await act(id, 'disable');
  const names = async (query: string) =>
    (await server.adminFetch(`/clients?${query}`)).json.data.map(({ name }: { name: string }) => name);
  expect(await names('q=needle%20100%25_')).toEqual(['Needle 100%_']);
  expect(await names(`q=${id}`)).toEqual(['Needle 100%_']);
  expect(await names('q=Needle&status=enabled')).toEqual([]);
  expect(await names('q=Needle&status=disabled')).toEqual(['Needle 100%_']);
  expect(await names('q=%25%25')).toEqual([]);
  expect(await names('kind=resource_server&q=orders')).toEqual(['Orders API']);
});

describe('revealing a client secret', () => {
  test('returns the current secret and records the reveal in the audit log', async () => {
    const { id: operatorId, token } = await server.operator(['api_key:manage']);
    const { client_id: id, client_secret: secret } = await integration();
    const { status, headers, json } = await server.adminFetch(`/clients/${id}/secret/reveal`, {
      method: 'POST',
      token,
    });
    expect([status, json]).toEqual([200, { client_id: id, client_secret: secret }]);
    expect(headers.get('cache-control')).toBe('no-store');
    const events = await server.adminFetch(`/audit-events?target=${id}&action=client.reveal_secret`);
    expect(events.json.data).toMatchObject([
      { actor: operatorId, address: '127.0.0.1', after: { hint: secret.slice(-4) } },
    ]);
  });

  test('rejects GET with 405', async () => {
    const { client_id: id } = await integration();
    expect((await server.adminFetch(`/clients/${id}/secret/reveal`)).status).toBe(405);
  });

  test('responds 409 for a client without a sealed copy of its secret', async () => {
    const { client_id: id } = await integration({ reveal: false });
    const { status, json } = await act(id, 'secret/reveal');
    expect([status, json.code]).toEqual([409, 'not_revealable']);
    const events = await server.adminFetch(`/audit-events?target=${id}&action=client.reveal_secret`);
    expect(events.json.data).toEqual([]);
  });

  test('is limited to 30 reveals per minute and operator', async () => {
    const token = await server.operatorToken();
    const { client_id: id } = await integration();
    const reveal = (by: string) => server.adminFetch(`/clients/${id}/secret/reveal`, { method: 'POST', token: by });
    for (let count = 0; count < 30; count++) expect((await reveal(token)).status).toBe(200);
    const refused = await reveal(token);
    expect([refused.status, refused.json.code]).toEqual([429, 'too_many_requests']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await reveal(await server.operatorToken())).status).toBe(200);
    now += 1;
  });

  test('responds 409 while KEYTURN_REVEAL is off, even if a sealed copy exists', async () => {
    const { client_id: id } = await integration();
    const off = await startAdminServer({ stores: server.stores, env: { KEYTURN_REVEAL: 'off' } });
    try {
      const { status, json } = await off.adminFetch(`/clients/${id}/secret/reveal`, { method: 'POST' });
      expect([status, json.code]).toEqual([409, 'not_revealable']);
    } finally {
      await off.close();
    }
  });
});
