import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventuallyIs } from '../eventually.ts';
import { endpointsOf, inactive, register, registerAll, type TestClient } from '../oauth/fixture.ts';
import { askPostgres } from '../services.ts';

let now = Date.now();
let server: AdminServer;
let endpoints: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let contactId: string;

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now });
  endpoints = endpointsOf(server.publicUrl);
  clients = await registerAll(server.core);
  contactId = await createContact('Ann');
});
afterAll(async () => {
  for (const each of [...others, server]) await each.close();
});

const others: AdminServer[] = [];

/** Starts another process of the same deployment. */
async function startOther(): Promise<AdminServer> {
  const other = await startAdminServer({ clock: () => now, stores: server.stores });
  others.push(other);
  return other;
}

let made = 0;

async function createContact(name: string): Promise<string> {
  made += 1;
  const { json } = await server.adminFetch('/contacts', {
    method: 'POST',
    body: { name, email: `contact${made}@example.com` },
  });
  return json.id;
}

async function createKey(options: Record<string, unknown> = {}, owner = contactId) {
  made += 1;
  const answer = await server.adminFetch(`/contacts/${owner}/access-keys`, {
    method: 'POST',
    body: { name: `Key ${made}`, permissions: { orders: ['read'] }, ...options },
  });
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.json as { id: string; access_key: string; name: string };
}

const act = (id: string, path: string, body?: unknown, method = 'POST') =>
  server.adminFetch(`/access-keys/${id}${path}`, { method, ...(body === undefined ? {} : { body }) });

async function introspect(token: string, form: Record<string, string> = {}) {
  return await endpoints.introspect(clients.orders, token, form);
}

test("rejects an access key's expiry that does not exist, has no offset or is in the past, and lets an expired key be renamed", async () => {
  const create = (end: string) =>
    server.adminFetch(`/contacts/${contactId}/access-keys`, {
      method: 'POST',
      body: { name: 'Never made', permissions: {}, expires_at: end },
    });
  const problem = 'must be a valid time with an offset, such as 2027-01-31T12:00:00Z (RFC 3339)';
  for (const end of ['2999-02-30T12:00:00Z', '2999-01-31T12:00:00', '2999-01-31', '2999-01-31T24:00:00Z']) {
    const { status, json } = await create(end);
    expect({ end, status, issues: json.issues }).toEqual({
      end,
      status: 400,
      issues: [{ path: 'expires_at', message: problem }],
    });
  }
  const past = [{ path: 'expires_at', message: 'must be in the future; to stop a key now, disable it' }];
  expect(await create(new Date(now - 1).toISOString())).toMatchObject({ status: 400, json: { issues: past } });

  const end = new Date(now + 60_000).toISOString().replace('Z', '+00:00');
  const key = await createKey({ expires_at: end });
  const patch = (body: object) => act(key.id, '', body, 'PATCH');
  expect(await patch({ expires_at: new Date(now - 1).toISOString() })).toMatchObject({ json: { issues: past } });
  now += 120_000;
  expect(await patch({ name: 'Renamed', expires_at: end })).toMatchObject({ status: 200, json: { status: 'expired' } });
});

describe('Create Key', () => {
  test('shows the key once, in the documented format, and lists show only a hint', async () => {
    const key = await createKey();
    expect(key.access_key).toMatch(/^ktk_[0-9A-Za-z]{49}$/);
    const { text, json } = await server.adminFetch(`/access-keys/${key.id}`);
    expect(text).not.toContain(key.access_key);
    expect(json).toMatchObject({ hint: `…${key.access_key.slice(-4)}`, status: 'enabled', contact_id: contactId });
    const rows = JSON.stringify(await askPostgres(server.stores.databaseUrl, 'SELECT * FROM secrets'));
    expect(rows).not.toContain(key.access_key);
  });

  test('requires a name that is unique within the contact', async () => {
    const key = await createKey();
    const again = { method: 'POST', body: { name: key.name, permissions: { orders: ['read'] } } };
    expect((await server.adminFetch(`/contacts/${contactId}/access-keys`, again)).json.code).toBe('name_taken');
    const other = await createContact('Bob');
    expect((await server.adminFetch(`/contacts/${other}/access-keys`, again)).status).toBe(201);
  });

  test.each([
    ['a kind of information that no resource server offers', { permissions: { secrets: ['read'] } }],
    ['an unknown action', { permissions: { orders: ['burn'] } }],
    ['an unknown client', { clients: ['kti_0000000000000000000000'] }],
  ])('rejects %s and creates nothing', async (_case, options) => {
    await expect(createKey(options)).rejects.toThrow('invalid_request');
  });
});

describe('a token with an access key', () => {
  test('has the scope that the request, the client and the key have in common, and identifies the key', async () => {
    const key = await createKey({ permissions: { orders: ['read', 'delete'], products: ['read'] } });
    const { json } = await endpoints.token(clients.shop, { access_key: key.access_key });
    expect(json['scope']).toBe('orders:read products:read');
    expect((await introspect(json['access_token'] as string)).json).toMatchObject({
      active: true,
      scope: 'orders:read products:read',
      access_key_id: key.id,
      contact_id: contactId,
    });
    const narrowed = await endpoints.token(clients.shop, { access_key: key.access_key, scope: 'orders:read' });
    expect(narrowed.json['scope']).toBe('orders:read');
  });

  test.each([
    ['the key does not allow', 'orders:create'],
    ['the client does not have', 'orders:delete'],
    ['no resource server offers', 'orders:burn'],
  ])('is refused with invalid_scope for a scope that %s', async (_case, scope) => {
    const key = await createKey({ permissions: { orders: ['read', 'delete'] } });
    const { status, json } = await endpoints.token(clients.shop, { access_key: key.access_key, scope });
    expect([status, json['error']]).toEqual([400, 'invalid_scope']);
  });

  test('is refused if key and client have no scope in common', async () => {
    const key = await createKey({ permissions: { invoices: ['read'] } });
    expect((await endpoints.token(clients.shop, { access_key: key.access_key })).json['error']).toBe('invalid_scope');
  });

  test('is refused with the same invalid_grant for an unknown, malformed, disabled, expired or foreign key', async () => {
    const disabled = await createKey();
    await act(disabled.id, '/disable');
    const expired = await createKey({ expires_at: new Date(now + 1_000).toISOString() });
    const foreign = await createKey({ clients: [clients.partner.id] });
    now += 2_000;
    const unknown = `${disabled.access_key.slice(0, -7)}0000000`;
    const values = [unknown, 'ktk_x', disabled.access_key, expired.access_key, foreign.access_key];
    const texts = await Promise.all(
      values.map(async (value) => {
        const answer = await endpoints.token(clients.shop, { access_key: value });
        return `${answer.status} ${answer.text}`;
      }),
    );
    expect(new Set(texts).size).toBe(1);
    expect(texts[0]).toMatch(/^400 .*"invalid_grant"/);
    expect((await endpoints.token(clients.partner, { access_key: foreign.access_key })).status).toBe(200);
  });

  test('is required by a client that must send an access key', async () => {
    const strict = await register(server.core, {
      name: 'Strict',
      kind: 'integration',
      scope: 'orders:read',
      accessKey: 'required',
    });
    expect((await endpoints.token(strict)).json['error']).toBe('invalid_request');
    const key = await createKey();
    expect((await endpoints.token(strict, { access_key: key.access_key })).status).toBe(200);
  });
});

describe('changes of a key apply to tokens that were issued before', () => {
  test('Save Key narrows and widens them, Disable stops them and Enable resumes them', async () => {
    const key = await createKey({ permissions: { orders: ['read', 'create'] } });
    const token = await endpoints.accessToken(clients.shop, { access_key: key.access_key });
    expect((await introspect(token)).json['scope']).toBe('orders:read orders:create');
    await act(key.id, '', { permissions: { orders: ['read'] } }, 'PATCH');
    expect((await introspect(token)).json['scope']).toBe('orders:read');
    await act(key.id, '/disable');
    expect((await introspect(token)).text).toBe(inactive);
    await act(key.id, '/enable');
    await act(key.id, '', { permissions: { orders: ['read', 'create'] } }, 'PATCH');
    expect((await introspect(token)).json['scope']).toBe('orders:read orders:create');
    await act(key.id, '', { permissions: { invoices: ['read'] } }, 'PATCH');
    expect((await introspect(token)).text).toBe(inactive);
  });

  test('the expiry of the key and the deletion of its contact end its tokens', async () => {
    const owner = await createContact('Short');
    const key = await createKey({ expires_at: new Date(now + 60_000).toISOString() }, owner);
    const token = await endpoints.accessToken(clients.shop, { access_key: key.access_key });
    now += 61_000;
    expect((await introspect(token)).text).toBe(inactive);
    await act(key.id, '', { expires_at: null }, 'PATCH');
    expect((await introspect(token)).json['active']).toBe(true);
    const refused = await server.adminFetch(`/contacts/${owner}`, { method: 'DELETE' });
    expect([refused.status, refused.json.code, refused.json.access_keys[0].id]).toEqual([
      409,
      'contact_has_keys',
      key.id,
    ]);
    await act(key.id, '/disable');
    expect((await server.adminFetch(`/contacts/${owner}`, { method: 'DELETE' })).status).toBe(204);
    expect((await introspect(token)).text).toBe(inactive);
    const { json } = await server.adminFetch(`/audit-events?target=${key.id}&limit=1`);
    expect(json.data[0]).toMatchObject({ action: 'access_key.remove', before: { contact_id: owner } });
  });

  test('enabling a key while its contact is deleted fails or the deletion does, and no live key is lost', async () => {
    for (let round = 0; round < 15; round++) {
      const owner = await createContact('Short');
      const key = await createKey({}, owner);
      await act(key.id, '/disable');
      const [enabled, deleted] = await Promise.all([
        act(key.id, '/enable'),
        server.adminFetch(`/contacts/${owner}`, { method: 'DELETE' }),
      ]);
      expect([enabled.status, deleted.status]).toEqual(deleted.status === 204 ? [expect.any(Number), 204] : [200, 409]);
      const there = (await act(key.id, '', undefined, 'GET')).status;
      if (deleted.status === 204) expect([enabled.status, there]).toEqual([404, 404]);
      else expect(there).toBe(200);
    }
  });

  test('within a second on another process', async () => {
    const elsewhere = endpointsOf((await startOther()).publicUrl);
    const owner = await createContact('Elsewhere');
    const key = await createKey({ permissions: { orders: ['read', 'create'] } }, owner);
    const token = await elsewhere.accessToken(clients.shop, { access_key: key.access_key });
    await elsewhere.introspect(clients.orders, token);
    await act(key.id, '', { permissions: { orders: ['read'] } }, 'PATCH');
    const seen = () => elsewhere.introspect(clients.orders, token);
    await eventuallyIs(seen, ({ json }) => json['scope'] === 'orders:read');
    await act(key.id, '/disable');
    await eventuallyIs(seen, ({ text }) => text === inactive);
    await act(key.id, '/enable');
    await eventuallyIs(seen, ({ json }) => json['active'] === true);
    const withKey = () => elsewhere.token(clients.shop, { access_key: key.access_key });
    expect((await withKey()).status).toBe(200);
    await act(key.id, '/disable');
    await server.adminFetch(`/contacts/${owner}`, { method: 'DELETE' });
    await eventuallyIs(seen, ({ text }) => text === inactive);
    await eventuallyIs(withKey, ({ status }) => status === 400);
  });

  test('a process that cached a key as unused issues no token with it after another process removed it', async () => {
    const elsewhere = endpointsOf((await startOther()).publicUrl);
    for (let round = 0; round < 10; round++) {
      const key = await createKey({ clients: [clients.partner.id] });
      // Cache the key in that process without using it: it is not for this client.
      expect((await elsewhere.token(clients.shop, { access_key: key.access_key })).status).toBe(400);
      const [removed, token] = await Promise.all([
        act(key.id, '', undefined, 'DELETE'),
        elsewhere.token(clients.partner, { access_key: key.access_key }),
      ]);
      expect([removed.status, token.status]).toEqual(removed.status === 204 ? [204, 400] : [409, 200]);
    }
  });
});

describe('an access key at introspection', () => {
  test('narrows the token, and makes it inactive if the key is not live', async () => {
    const token = await endpoints.accessToken(clients.shop);
    const key = await createKey();
    expect((await introspect(token, { access_key: key.access_key })).json).toMatchObject({
      active: true,
      scope: 'orders:read',
      access_key_id: key.id,
      contact_id: contactId,
    });
    await act(key.id, '/disable');
    expect((await introspect(token, { access_key: key.access_key })).text).toBe(inactive);
    expect((await introspect(token, { access_key: 'ktk_nonsense' })).text).toBe(inactive);
    expect((await introspect(token)).json['active']).toBe(true);
  });
});

describe('Remove Key', () => {
  test('removes only a key that was never used, and otherwise answers 409 and suggests Disable', async () => {
    const fresh = await createKey();
    expect((await act(fresh.id, '', undefined, 'DELETE')).status).toBe(204);
    expect((await act(fresh.id, '', undefined, 'DELETE')).status).toBe(404);
    const used = await createKey();
    await endpoints.accessToken(clients.shop, { access_key: used.access_key });
    const refused = await act(used.id, '', undefined, 'DELETE');
    expect([refused.status, refused.json.code]).toEqual([409, 'access_key_was_used']);
    expect(refused.json.detail).toContain('Disable');
  });

  test('at the same moment as a first use, either removes the key or fails: no token of a removed key is live', async () => {
    for (let round = 0; round < 15; round++) {
      const key = await createKey();
      const [removed, token] = await Promise.all([
        act(key.id, '', undefined, 'DELETE'),
        endpoints.token(clients.shop, { access_key: key.access_key }),
      ]);
      expect([removed.status, token.status]).toEqual(removed.status === 204 ? [204, 400] : [409, 200]);
    }
  });
});

describe('Generate New Key', () => {
  test('has a grace period, can be undone and finished, and warns callers that send the previous value', async () => {
    const key = await createKey();
    const stale = await act(key.id, '/regenerate', {});
    expect([stale.status, stale.json.code]).toEqual([428, 'confirmation_required']);
    const { json: review } = await act(key.id, '/regeneration/review');
    const { json } = await act(key.id, '/regenerate', { confirmation: review.confirmation, overlap_seconds: 600 });
    const works = async (value: string) => (await endpoints.token(clients.shop, { access_key: value })).status;
    expect([await works(key.access_key), await works(json.access_key)]).toEqual([200, 200]);
    // Send a plain request for the fast path, and one for the application.
    for (const more of [{}, { unknown: 'parameter' }]) {
      const headers = async (value: string) =>
        (await endpoints.token(clients.shop, { access_key: value, ...more })).headers;
      expect(await headers(json.access_key)).not.toHaveProperty('sunset');
      const retiring = await headers(key.access_key);
      expect(retiring['sunset']).toBe(new Date(json.previous.retires_at).toUTCString());
      expect(retiring['deprecation']).toMatch(/^@\d+$/);
    }
    const token = await endpoints.accessToken(clients.shop, { access_key: json.access_key });
    expect((await act(key.id, `/regenerations/${json.regeneration_id}/undo`)).status).toBe(200);
    expect([await works(key.access_key), await works(json.access_key)]).toEqual([200, 400]);
    expect((await introspect(token)).text).toBe(inactive);

    const again = (await act(key.id, '/regeneration/review')).json;
    const next = await act(key.id, '/regenerate', { confirmation: again.confirmation, overlap_seconds: 600 });
    expect((await act(key.id, `/regenerations/${next.json.regeneration_id}/finish`)).status).toBe(200);
    expect([await works(key.access_key), await works(next.json.access_key)]).toEqual([400, 200]);
    expect((await act(key.id, '/reveal')).json.access_key).toBe(next.json.access_key);
  });

  test('with revoke_tokens ends every token of the key and its previous value at once', async () => {
    const key = await createKey();
    const token = await endpoints.accessToken(clients.shop, { access_key: key.access_key });
    const { json: review } = await act(key.id, '/regeneration/review');
    await act(key.id, '/regenerate', { confirmation: review.confirmation, revoke_tokens: true });
    expect((await introspect(token)).text).toBe(inactive);
    expect((await endpoints.token(clients.shop, { access_key: key.access_key })).status).toBe(400);
  });
});

describe('least privilege', () => {
  test('compares the scopes that resource servers report as used with the granted ones', async () => {
    const key = await createKey({ permissions: { orders: ['create', 'read', 'update'], products: ['read'] } });
    const token = await endpoints.accessToken(clients.shop, { access_key: key.access_key });
    await introspect(token, { used_scope: 'orders:read' });
    await introspect(token, { used_scope: 'orders:read invoices:read nonsense' });
    expect((await server.adminFetch(`/access-keys/${key.id}`)).json.usage).toMatchObject({
      granted: 4,
      used: 1,
      used_scope: ['orders:read'],
      used_permissions: { orders: ['read'] },
    });
  });

  test('ignores reports of scopes that the resource server does not offer, and suggests nothing without reports', async () => {
    const key = await createKey({ permissions: { orders: ['read'], invoices: ['read'] } });
    const token = await endpoints.accessToken(clients.partner, { access_key: key.access_key });
    const usage = async () => (await server.adminFetch(`/access-keys/${key.id}`)).json.usage;
    await introspect(token);
    const { json } = await server.adminFetch(`/access-keys/${key.id}`);
    expect(json.usage).toEqual({ granted: 2, used: 0, since: json.created_at, used_scope: [], used_permissions: null });
    await introspect(token, { used_scope: 'invoices:read' });
    expect(await usage()).toMatchObject({ used: 0 });
    await endpoints.introspect(clients.invoices, token, { used_scope: 'invoices:read' });
    expect(await usage()).toMatchObject({ used: 1, used_permissions: { invoices: ['read'] } });
    await act(key.id, '', { permissions: (await usage()).used_permissions }, 'PATCH');
    expect((await introspect(token)).text).toBe(inactive);
    expect((await endpoints.introspect(clients.invoices, token)).json['scope']).toBe('invoices:read');
  });

  test('shows use by hour and by value, as for a client secret', async () => {
    const key = await createKey();
    await endpoints.accessToken(clients.shop, { access_key: key.access_key });
    await endpoints.introspect(clients.orders, await endpoints.accessToken(clients.shop), {
      access_key: key.access_key,
    });
    await endpoints.token(clients.shop, { access_key: key.access_key, scope: 'orders:create' });
    await act(key.id, '/disable');
    await endpoints.token(clients.shop, { access_key: key.access_key });
    const { json } = await server.adminFetch(`/access-keys/${key.id}/usage?hours=1`);
    expect(json.secrets).toMatchObject([
      {
        hint: `…${key.access_key.slice(-4)}`,
        status: 'current',
        issued: 1,
        used: 1,
        refused: { access_key_disabled: 1 },
      },
    ]);
  });

  test('rejects dropping a kind of information in use, and lists what uses it', async () => {
    const warehouse: TestClient = await register(server.core, {
      name: 'Warehouse',
      kind: 'resource_server',
      resource: 'https://warehouse.example',
      information: ['stock', 'shelves'],
    });
    const key = await createKey({ permissions: { stock: ['read'] } });
    const patch = (information: string[]) =>
      server.adminFetch(`/clients/${warehouse.id}`, { method: 'PATCH', body: { information } });
    expect((await patch(['stock', 'shelves', 'gates'])).status).toBe(200);
    expect((await patch(['stock'])).status).toBe(200);
    const refused = await patch(['gates']);
    expect([refused.status, refused.json.code, refused.json.total]).toEqual([409, 'information_in_use', 1]);
    expect(refused.json.access_keys[0].id).toBe(key.id);
  });

  test('rejects either granting a kind of information or dropping it at the same time', async () => {
    const shelf = await register(server.core, {
      name: 'Shelf',
      kind: 'resource_server',
      resource: 'https://shelf.example',
      information: ['boards', 'nails'],
    });
    for (let round = 0; round < 15; round++) {
      const body = { information: round % 2 === 0 ? ['boards'] : ['boards', 'nails'] };
      const key = await createKey({ permissions: { boards: ['read'] } });
      const [dropped, saved] = await Promise.all([
        server.adminFetch(`/clients/${shelf.id}`, { method: 'PATCH', body }),
        act(key.id, '', { permissions: { nails: ['read'] } }, 'PATCH'),
      ]);
      if (round % 2 === 0) {
        expect([dropped.status, saved.status]).toEqual(dropped.status === 200 ? [200, 400] : [409, 200]);
      } else expect(dropped.status).toBe(200);
      await act(key.id, '', { permissions: {} }, 'PATCH');
    }
  });
});

test('an API authorization token can be issued for an access key', async () => {
  const key = await createKey();
  const { json } = await server.adminFetch(`/clients/${clients.shop.id}/authorization-token`, {
    method: 'POST',
    body: { access_key_id: key.id },
  });
  expect(json.scope).toBe('orders:read');
  expect((await introspect(json.access_token)).json).toMatchObject({ access_key_id: key.id, scope: 'orders:read' });
});
