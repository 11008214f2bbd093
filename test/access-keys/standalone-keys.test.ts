import { checksum, generateSecret } from '../../src/credentials/credential-format.ts';
import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { eventuallyIs } from '../eventually.ts';
import { endpointsOf, inactive, ordersResource, registerAll, watchQueries } from '../oauth/fixture.ts';

let now = Date.now();
const env = { KEYTURN_STANDALONE_KEYS: 'on', KEYTURN_FAILURES_PER_MINUTE: '0' };
let server: AdminServer;
let other: AdminServer;
let without: AdminServer;
let api: ReturnType<typeof endpointsOf>;
let beside: ReturnType<typeof endpointsOf>;
let clients: Awaited<ReturnType<typeof registerAll>>;
let contactId: string;
let made = 0;

beforeAll(async () => {
  server = await startAdminServer({ clock: () => now, env });
  other = await startAdminServer({ clock: () => now, env, stores: server.stores });
  without = await startAdminServer({ clock: () => now, stores: server.stores });
  api = endpointsOf(server.publicUrl);
  beside = endpointsOf(other.publicUrl);
  clients = await registerAll(server.core);
  contactId = await createContact();
});
afterAll(async () => {
  for (const each of [without, other, server]) await each?.close();
});

const act = (path: string, body: object = {}, method = 'POST') => server.adminFetch(path, { method, body });

async function createContact(options: object = {}): Promise<string> {
  made += 1;
  return (await act('/contacts', { name: 'Ann', email: `ann${made}@example.com`, ...options })).json.id;
}

async function createKey(options: object = {}, owner = contactId) {
  made += 1;
  const body = { name: `Key ${made}`, permissions: { orders: ['read'] }, standalone: true, ...options };
  const answer = await act(`/contacts/${owner}/access-keys`, body);
  if (answer.status !== 201) throw new Error(answer.text);
  return answer.json as { id: string; access_key: string; created_at: string };
}

const introspect = (value: string, form: Record<string, string> = {}, by = clients.orders) =>
  api.introspect(by, value, form);

/** Waits until the other process, which learns of changes from the feed, gives this answer. */
const seenBeside = (value: string, text: string, form = {}) =>
  eventuallyIs(
    () => beside.introspect(clients.orders, value, form),
    (answer) => answer.text === text,
  );

async function rotate(id: string, options: object = {}): Promise<{ regeneration_id: string; access_key: string }> {
  const { json } = await act(`/access-keys/${id}/regeneration/review`);
  return (await act(`/access-keys/${id}/regenerate`, { confirmation: json.confirmation, ...options })).json;
}

describe('a stand-alone access key', () => {
  test('is introspected as a token of its contact, without a client', async () => {
    const key = await createKey({ permissions: { orders: ['read'], invoices: ['read'] }, claims: { tenant: 'acme' } });
    // The first answer is that of the application, the second that of the fast path.
    for (const path of ['first', 'second']) {
      const { status, json, headers } = await introspect(key.access_key);
      expect({ path, status, json }).toEqual({
        path,
        status: 200,
        json: {
          active: true,
          sub: contactId,
          access_key_id: key.id,
          contact_id: contactId,
          tenant: 'acme',
          iat: Math.floor(Date.parse(key.created_at) / 1_000),
          iss: 'http://localhost:4000',
          aud: ordersResource,
          scope: 'orders:read',
          token_type: 'Bearer',
        },
      });
      expect(headers['cache-control']).toBe('no-store');
    }
    expect((await introspect(key.access_key, {}, clients.invoices)).json).toMatchObject({ scope: 'invoices:read' });
  });

  test('names its expiry and the organization of its contact', async () => {
    const { id } = (await act('/organizations', { name: 'Partner' })).json;
    const end = new Date(Math.ceil(now / 1_000) * 1_000 + 60_000);
    const key = await createKey({ expires_at: end.toISOString() }, await createContact({ organization_id: id }));
    expect((await introspect(key.access_key)).json).toMatchObject({
      active: true,
      organization_id: id,
      exp: end.getTime() / 1_000,
    });
    now = end.getTime();
    expect((await introspect(key.access_key)).text).toBe(inactive);
  });

  test.each<[string, (key: { id: string }) => Promise<unknown>, (key: { id: string }) => Promise<unknown>]>([
    ['is disabled', ({ id }) => act(`/access-keys/${id}/disable`), ({ id }) => act(`/access-keys/${id}/enable`)],
    [
      'no longer stands alone',
      ({ id }) => act(`/access-keys/${id}`, { standalone: false }, 'PATCH'),
      ({ id }) => act(`/access-keys/${id}`, { standalone: true }, 'PATCH'),
    ],
    [
      'has no permission left',
      ({ id }) => act(`/access-keys/${id}`, { permissions: {} }, 'PATCH'),
      ({ id }) => act(`/access-keys/${id}`, { permissions: { orders: ['read'] } }, 'PATCH'),
    ],
  ])('is inactive in every process once it %s, and active again afterwards', async (_, end, undo) => {
    const key = await createKey();
    await introspect(key.access_key);
    const live = await beside.introspect(clients.orders, key.access_key);
    expect(live.json).toMatchObject({ active: true });
    await end(key);
    expect((await introspect(key.access_key)).text).toBe(inactive);
    await seenBeside(key.access_key, inactive);
    await undo(key);
    expect((await introspect(key.access_key)).text).toBe(live.text);
    await seenBeside(key.access_key, live.text);
  });

  test('is inactive while the organization of its contact is disabled', async () => {
    const { id } = (await act('/organizations', { name: 'Paused' })).json;
    const key = await createKey({}, await createContact({ organization_id: id }));
    expect((await introspect(key.access_key)).json).toMatchObject({ active: true });
    expect((await act(`/organizations/${id}/disable`)).status).toBe(200);
    expect((await introspect(key.access_key)).text).toBe(inactive);
    await seenBeside(key.access_key, inactive);
  });

  test('is inactive in a deployment without KEYTURN_STANDALONE_KEYS, which also creates none', async () => {
    const key = await createKey();
    expect((await endpointsOf(without.publicUrl).introspect(clients.orders, key.access_key)).text).toBe(inactive);
    const answer = await without.adminFetch(`/contacts/${contactId}/access-keys`, {
      method: 'POST',
      body: { name: 'Never made', permissions: {}, standalone: true },
    });
    expect(answer).toMatchObject({ status: 400, json: { issues: [{ path: 'standalone' }] } });
  });

  test('is inactive for clients that are not resource servers', async () => {
    const key = await createKey();
    expect((await introspect(key.access_key, {}, clients.shop)).text).toBe(inactive);
  });

  test('still works together with a client', async () => {
    const key = await createKey();
    const token = await api.accessToken(clients.shop, { access_key: key.access_key });
    expect((await introspect(token)).json).toMatchObject({ client_id: clients.shop.id, access_key_id: key.id });
  });

  test('cannot be limited to clients, and only it can have a limit of requests', async () => {
    const body = { name: 'Contradiction', permissions: {} };
    const create = (options: object) => act(`/contacts/${contactId}/access-keys`, { ...body, ...options });
    expect((await create({ standalone: true, clients: [clients.shop.id] })).json.issues[0].path).toBe('standalone');
    expect((await create({ requests_per_minute: 5 })).json.issues[0].path).toBe('requests_per_minute');
    expect((await create({ allowed_networks: ['10.0.0.0/33'] })).status).toBe(400);
    const key = await createKey({ requests_per_minute: 5 });
    const { json } = await act(`/access-keys/${key.id}`, { standalone: false }, 'PATCH');
    expect(json).toMatchObject({ standalone: false, requests_per_minute: null });
  });

  test('can be removed until it is used for the first time, and not afterwards', async () => {
    const key = await createKey();
    expect((await introspect(key.access_key)).json).toMatchObject({ active: true });
    expect((await server.adminFetch(`/access-keys/${key.id}`, { method: 'DELETE' })).json.code).toBe(
      'access_key_was_used',
    );
  });
});

describe('a value that is no stand-alone access key', () => {
  test.each<[string, (value: string) => string]>([
    ['with a wrong checksum', (value) => `${value.slice(0, -1)}${value.endsWith('0') ? '1' : '0'}`],
    ['that is unknown', () => generateSecret('ktk_')],
    ['in other case', (value) => value.toUpperCase()],
    ['with a space', (value) => `${value} `],
    ['with NUL', (value) => `${value}\0`],
    ['that is cut off', (value) => value.slice(0, -1)],
    ['that is much too long', (value) => value.repeat(1_000)],
  ])('%s gets exactly {"active":false}', async (_, change) => {
    const { access_key: value } = await createKey();
    expect(await introspect(change(value))).toMatchObject({ status: 200, text: inactive });
  });

  test('with a wrong checksum costs no statement, unlike an unknown one', async () => {
    const unknown = generateSecret('ktk_');
    const broken = `${unknown.slice(0, 47)}${checksum(`${unknown.slice(0, 46)}!`)}`;
    await introspect(unknown);
    const watched = watchQueries(server.core);
    await introspect(broken);
    expect(watched.changeReads()).toBe(0);
    await introspect(generateSecret('ktk_'));
    expect(watched.changeReads()).toBeGreaterThan(0);
    watched.stop();
  });
});

describe('the rotation of a stand-alone access key', () => {
  test('lets both values work, says so in introspection, and ends the previous one at its date', async () => {
    const key = await createKey();
    expect((await introspect(key.access_key)).json).not.toHaveProperty('access_key_retirement');
    const next = await rotate(key.id, { overlap_seconds: 600 });
    const until = Math.floor(now / 1_000) + 600;
    const previous = (await introspect(key.access_key)).json;
    expect(previous).toMatchObject({ active: true, exp: until, access_key_retirement: { until } });
    expect((await introspect(next.access_key)).json).not.toHaveProperty('access_key_retirement');
    now += 600_000;
    expect((await introspect(key.access_key)).text).toBe(inactive);
    expect((await introspect(next.access_key)).json).toMatchObject({ active: true });
  });

  test('can be undone: the previous value works on, and the new one does not', async () => {
    const key = await createKey();
    const next = await rotate(key.id);
    expect((await introspect(next.access_key)).json).toMatchObject({ active: true });
    await act(`/access-keys/${key.id}/regenerations/${next.regeneration_id}/undo`);
    expect((await introspect(next.access_key)).text).toBe(inactive);
    expect((await introspect(key.access_key)).json).toMatchObject({ active: true });
  });

  test('shows which addresses still use the previous value, and who tries it after its end', async () => {
    const key = await createKey();
    await introspect(key.access_key, { client_address: '203.0.113.7' });
    const next = await rotate(key.id, { overlap_seconds: 600 });
    await introspect(key.access_key, { client_address: '203.0.113.7' });
    await introspect(next.access_key, { client_address: '203.0.113.8' });
    await server.core.usage.flush();
    const { data } = (await server.adminFetch(`/access-keys/${key.id}/regenerations`)).json;
    expect(JSON.stringify(data[0])).toContain('203.0.113.7');
    now += 600_000;
    await introspect(key.access_key, { client_address: '203.0.113.9' });
    await server.core.usage.flush();
    const usage = (await server.adminFetch(`/access-keys/${key.id}/regenerations`)).text;
    expect(usage).toContain('203.0.113.9');
  });
});

describe('allowed networks of an access key', () => {
  const networks = { allowed_networks: ['203.0.113.0/24', '2001:db8:1::/48'] };

  test.each([
    ['inside of a network', { client_address: '203.0.113.7' }, true],
    ['inside of an IPv6 network', { client_address: '2001:db8:1::5' }, true],
    ['mapped into IPv6', { client_address: '::ffff:203.0.113.7' }, true],
    ['with a port, as some proxies write it', { client_address: '203.0.113.7:40123' }, true],
    ['outside', { client_address: '203.0.114.7' }, false],
    ['that is not reported', {}, false],
    ['that is no address', { client_address: '203.0.113.0/24' }, false],
    ['that is empty', { client_address: '' }, false],
  ])('decide about an address %s', async (_, form: Record<string, string>, isAccepted) => {
    const key = await createKey(networks);
    for (const time of [1, 2]) {
      const answer = await introspect(key.access_key, form);
      expect({ time, active: answer.json['active'] }).toEqual({ time, active: isAccepted });
    }
  });

  test('follow a change at once, also while an answer for the same address is cached', async () => {
    const key = await createKey(networks);
    const form = { client_address: '203.0.113.7' };
    await introspect(key.access_key, form);
    expect((await introspect(key.access_key, form)).json).toMatchObject({ active: true });
    await act(`/access-keys/${key.id}`, { allowed_networks: ['198.51.100.0/24'] }, 'PATCH');
    expect((await introspect(key.access_key, form)).text).toBe(inactive);
  });

  test('apply to token requests of clients too, by the address of the request', async () => {
    const [here, elsewhere] = [await createKey({ allowed_networks: ['127.0.0.1'] }), await createKey(networks)];
    for (const time of [1, 2]) {
      const ask = ({ access_key }: { access_key: string }) => api.token(clients.shop, { access_key });
      expect({ time, status: (await ask(here)).status }).toEqual({ time, status: 200 });
      expect(await ask(elsewhere)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } });
    }
  });
});

test('introspection counts the requests of a key with a limit, in every answer and with the tokens exchanged for it', async () => {
  const key = await createKey({ requests_per_minute: 3 });
  const limitOf = async () => (await introspect(key.access_key)).json['rate_limit'];
  expect(await limitOf()).toEqual({ limit: 3, remaining: 2, reset: expect.any(Number), exceeded: false });
  const { json } = await api.exchangeKey(key.access_key);
  expect((await introspect(json['access_token'] as string)).json['rate_limit']).toMatchObject({ remaining: 1 });
  expect(await limitOf()).toMatchObject({ remaining: 0, exceeded: false });
  expect(await limitOf()).toMatchObject({ remaining: 0, exceeded: true });
  expect((await introspect(key.access_key)).json).toMatchObject({ active: true });
});

test('compares what a stand-alone key may do with what resource servers report as used', async () => {
  const key = await createKey({ permissions: { orders: ['read', 'create'] } });
  await introspect(key.access_key, { used_scope: 'orders:read' });
  const { usage } = (await server.adminFetch(`/access-keys/${key.id}`)).json;
  expect(usage).toMatchObject({ granted: 2, used: 1, used_scope: ['orders:read'] });
});

test('the leak finder finds a stand-alone key, and ends it together with the tokens exchanged for it', async () => {
  const key = await createKey();
  const { json } = await api.exchangeKey(key.access_key);
  const token = json['access_token'] as string;
  expect((await introspect(token)).json).toMatchObject({ active: true });
  const found = await act('/leaks', { values: [`key=${key.access_key} token=${token}`], disable: true });
  expect(found.text).toContain(key.id);
  expect((await introspect(key.access_key)).text).toBe(inactive);
  expect((await introspect(token)).text).toBe(inactive);
});

test('the reason why a stand-alone key is not accepted can be explained', async () => {
  const key = await createKey({ allowed_networks: ['203.0.113.0/24'] });
  const answer = await introspect(key.access_key);
  expect(answer.text).toBe(inactive);
  await server.core.usage.flush();
  const explained = await act('/explain', { value: answer.headers['x-request-id'] as string });
  expect(explained.text).toContain('203.0.113.0/24');
  expect(explained.text).not.toContain(key.access_key);
});
