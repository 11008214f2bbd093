import { permissions } from '../../src/contacts/contact.ts';
import { generateSecret } from '../../src/credentials/credential-format.ts';
import { endpointsOf, inactive, type TestClient } from '../oauth/fixture.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

type Found = { rule: string; verdict: string; text: string; at: string | null; by: string | null } & Record<
  'subject' | 'audit_event_id' | 'regeneration_id',
  unknown
>;

const minuteMs = 60_000;
let now: number;
let server: AdminServer;
let oauth: ReturnType<typeof endpointsOf>;
let orders: TestClient;
let invoices: TestClient;
let shop: TestClient;

beforeAll(async () => {
  now = Date.now();
  server = await startAdminServer({ clock: () => now });
  oauth = endpointsOf(server.publicUrl);
  orders = await create({ kind: 'resource_server', resource: 'https://orders.example', information: ['orders'] });
  const information = ['invoices'];
  invoices = await create({ kind: 'resource_server', resource: 'https://invoices.example', information });
});
beforeEach(async () => {
  shop = await create({ kind: 'integration', scope: 'orders:read orders:update' });
});
afterAll(() => server?.close());

async function post(path: string, body: unknown = {}) {
  const answer = await server.adminFetch(path, { method: 'POST', body });
  if (answer.status > 299) throw new Error(`${path}: ${answer.text}`);
  return answer.json;
}

async function create(fields: object): Promise<TestClient> {
  const { client_id: id, client_secret: secret } = await post('/clients', { name: 'Shop', ...fields });
  return { id, secret };
}

async function createKey(fields: object = {}): Promise<{ id: string; access_key: string }> {
  const contact = await post('/contacts', { name: 'Partner', email: 'it@partner.example' });
  const rights = { orders: ['read', 'update'] };
  return await post(`/contacts/${contact.id}/access-keys`, { name: 'Warehouse', permissions: rights, ...fields });
}

async function explain(value: string, more: object = {}, token?: string) {
  const answer = await server.adminFetch('/explain', { method: 'POST', body: { value, ...more }, token });
  expect(answer.status).toBe(200);
  if (value.length > 40) expect(answer.text).not.toContain(value);
  const { kind, verdict, findings } = answer.json as { kind: string; verdict: string; findings: Found[] };
  return { kind, verdict, findings, decided: findings.find((found) => found.verdict === 'rejected') };
}

/** Explains a token, and checks that introspection by the orders API says the same. */
async function explainToken(token: string) {
  const explained = await explain(token, { resource: 'https://orders.example' });
  const { text } = await oauth.introspect(orders, token);
  expect({ isActive: text !== inactive }).toEqual({ isActive: explained.verdict === 'accepted' });
  return explained;
}

const at = () => new Date(now).toISOString();

describe('explains a token by the rules of introspection', () => {
  test('that is active, with its scope at the resource server', async () => {
    const token = await oauth.accessToken(shop);
    const { kind, verdict, findings } = await explainToken(token);
    expect({ kind, verdict }).toEqual({ kind: 'access_token', verdict: 'accepted' });
    expect(findings.map(({ rule }) => rule)).toEqual(['live_token', 'introspection']);
    expect(findings[1]?.text).toContain('orders:read orders:update');
  });

  test('whose client was disabled: when and by whom, without the name for operators who cannot view the audit log', async () => {
    const token = await oauth.accessToken(shop);
    now += minuteMs;
    await post(`/clients/${shop.id}/disable`);
    const { decided } = await explainToken(token);
    expect(decided).toMatchObject({ rule: 'client_disabled', at: at(), subject: { type: 'client', id: shop.id } });
    expect(decided?.by).toMatch(/^Operator/);
    expect(decided?.audit_event_id).toEqual(expect.any(Number));
    const viewer = await server.operatorToken(['integrations:view']);
    const seen = await explain(token, {}, viewer);
    expect(seen.decided).toMatchObject({ rule: 'client_disabled', at: at(), by: null, audit_event_id: null });
    expect(seen.decided?.text).not.toContain('Operator');
  });

  test('that was issued before tokens_not_before', async () => {
    const token = await oauth.accessToken(shop);
    now += minuteMs;
    await post(`/clients/${shop.id}/tokens/revoke`);
    const { decided } = await explainToken(token);
    expect(decided).toMatchObject({ rule: 'client_tokens_revoked', at: at(), by: expect.stringMatching(/^Operator/) });
    expect(decided?.text).toContain('tokens_not_before');
  });

  test('that expired, that was revoked, and that is unknown', async () => {
    const [expired, revoked] = [await oauth.accessToken(shop), await oauth.accessToken(shop)];
    await oauth.revoke(shop, revoked);
    expect((await explainToken(revoked)).decided?.rule).toBe('revoked_token');
    expect((await explainToken(generateSecret('kta_'))).decided?.rule).toBe('unknown_token');
    const issued = now;
    now += 61 * minuteMs;
    const expiry = new Date(Math.floor(issued / 1_000) * 1_000 + 60 * minuteMs).toISOString();
    const { decided } = await explainToken(expired);
    // The store may have deleted an expired token already.
    expect([
      ['expired_token', expiry],
      ['unknown_token', null],
    ]).toContainEqual([decided?.rule, decided?.at]);
  });

  test('that is meant for another resource', async () => {
    const token = await oauth.accessToken(shop, { resource: 'https://orders.example' });
    const { verdict, decided } = await explain(token, { resource: 'https://invoices.example' });
    expect((await oauth.introspect(invoices, token)).text).toBe(inactive);
    expect(verdict).toBe('rejected');
    expect(decided).toMatchObject({ rule: 'other_resource', subject: { id: invoices.id } });
    expect((await explain(token)).verdict).toBe('accepted');
  });

  test('whose access key lost a scope: which one, when and by whom', async () => {
    const key = await createKey();
    const token = await oauth.accessToken(shop, { access_key: key.access_key });
    now += minuteMs;
    await server.adminFetch(`/access-keys/${key.id}`, { method: 'PATCH', body: { permissions: { orders: ['read'] } } });
    const removed = at();
    now += minuteMs;
    await server.adminFetch(`/access-keys/${key.id}`, { method: 'PATCH', body: { name: 'Renamed' } });
    const { verdict, findings } = await explainToken(token);
    expect(verdict).toBe('accepted');
    expect(findings).toContainEqual(
      expect.objectContaining({
        rule: 'scope_removed',
        at: removed,
        text: expect.stringContaining('The scope orders:update was removed from the access key “Renamed”'),
      }),
    );
  });

  test('whose access key was disabled, and whose scope is all gone', async () => {
    const key = await createKey();
    const token = await oauth.accessToken(shop, { access_key: key.access_key });
    await server.adminFetch(`/clients/${shop.id}`, { method: 'PATCH', body: { scope: '' } });
    expect((await explainToken(token)).findings.map(({ rule }) => rule)).toEqual([
      'live_token',
      'no_scope_left',
      'scope_removed',
      'scope_removed',
    ]);
    await post(`/access-keys/${key.id}/disable`);
    expect((await explainToken(token)).decided).toMatchObject({ rule: 'access_key_disabled', subject: { id: key.id } });
  });

  test('that is a JWT and was obtained with a secret whose rotation was undone', async () => {
    const jwt = { resource: 'https://jwt.example', information: ['jobs'], token_format: 'jwt' };
    await create({ kind: 'resource_server', ...jwt });
    const client = await create({ kind: 'integration', scope: 'jobs:read' });
    const { client_secret: secret, regeneration_id: id } = await regenerate(client);
    const token = await oauth.accessToken({ id: client.id, secret });
    expect((await explain(token)).verdict).toBe('accepted');
    await post(`/clients/${client.id}/regenerations/${id}/undo`);
    expect((await explain(token)).decided).toMatchObject({ rule: 'undone_secret', regeneration_id: id });
  });
});

async function regenerate({ id }: TestClient) {
  const { confirmation } = await post(`/clients/${id}/regeneration/review`);
  return await post(`/clients/${id}/regenerate`, { confirmation });
}

describe('explains credentials by the rules of authentication', () => {
  test('a client secret that ended, with its regeneration', async () => {
    expect((await explain(shop.secret)).verdict).toBe('accepted');
    const { regeneration_id: id } = await regenerate(shop);
    expect((await explain(shop.secret)).findings[0]?.text).toContain('It is the previous one, and ends at');
    now += 25 * 60 * minuteMs;
    expect((await oauth.token(shop)).status).toBe(401);
    const { verdict, decided } = await explain(shop.secret);
    expect(verdict).toBe('rejected');
    expect(decided).toMatchObject({ rule: 'retired_secret', regeneration_id: id });
    expect(decided?.text).toContain(`…${shop.secret.slice(-4)}`);
    expect((await explain(generateSecret('kts_'))).decided?.rule).toBe('wrong_secret');
  });

  test('an access key by its value or its ID, for any client or one', async () => {
    const other = await create({ kind: 'integration', scope: 'orders:read' });
    const key = await createKey({ clients: [other.id], expires_at: new Date(now + 60 * minuteMs).toISOString() });
    const rule = async (value: string, clientId?: string) => {
      const answer = await explain(value, clientId ? { client_id: clientId } : {});
      return answer.decided?.rule ?? answer.verdict;
    };
    expect(await rule(key.access_key)).toBe('accepted');
    expect(await rule(key.id, other.id)).toBe('accepted');
    expect(await rule(key.access_key, shop.id)).toBe('other_client');
    now += 61 * minuteMs;
    expect(await rule(key.id)).toBe('access_key_expired');
    expect(await rule(generateSecret('ktk_'))).toBe('unknown_access_key');
  });

  test('a client, with its credentials and its latest rejected requests', async () => {
    await oauth.token({ ...shop, secret: generateSecret('kts_') });
    const { kind, verdict, findings } = await explain(shop.id);
    expect({ kind, verdict }).toEqual({ kind: 'client', verdict: 'accepted' });
    expect(findings.map(({ rule }) => rule)).toEqual(['client_secret', 'wrong_secret']);
    await post(`/clients/${shop.id}/disable`);
    await server.adminFetch(`/clients/${shop.id}`, { method: 'DELETE' });
    expect((await explain(shop.id)).findings[0]?.text).toContain('was deleted at');
  });

  test('a value that was cut off or mistyped', async () => {
    const cut = (await explain(shop.secret.slice(0, -1))).decided;
    expect(cut).toMatchObject({ rule: 'malformed' });
  });
});

describe('explains a rejected request by its ID', () => {
  const idOf = (answer: { headers: Record<string, unknown> }) => String(answer.headers['x-request-id']);

  test('with an ended secret: the rule, and the regeneration that ended the secret', async () => {
    const { regeneration_id: id } = await regenerate(shop);
    now += 25 * 60 * minuteMs;
    const { kind, verdict, findings } = await explain(idOf(await oauth.token(shop)));
    expect({ kind, verdict }).toEqual({ kind: 'request', verdict: 'rejected' });
    expect(findings).toMatchObject([
      { rule: 'retired_secret', at: at(), subject: { id: shop.id } },
      { rule: 'retired_secret', regeneration_id: id },
    ]);
  });

  test('of an introspection whose answer was only "not active"', async () => {
    const key = await createKey();
    const token = await oauth.accessToken(shop, { access_key: key.access_key });
    await post(`/access-keys/${key.id}/disable`);
    const answer = await oauth.introspect(orders, token);
    expect(answer.text).toBe(inactive);
    const { findings } = await explain(idOf(answer));
    expect(findings).toMatchObject([
      { rule: 'access_key_disabled', subject: { id: orders.id } },
      { rule: 'access_key_disabled', subject: { id: key.id } },
    ]);
  });

  test('with a scope that is unknown, not granted or not allowed by the access key names the scope and the rule', async () => {
    const key = await createKey({ permissions: { orders: ['read'] } });
    const explained = async (form: Record<string, string>) => {
      const answer = await oauth.token(shop, form);
      expect(answer.status).toBe(400);
      const { findings } = await explain(idOf(answer));
      return findings;
    };
    expect(await explained({ scope: 'orders:read orders:fly' })).toMatchObject([
      {
        rule: 'unknown_scope',
        text: expect.stringMatching(/400 invalid_scope: no resource server offers “orders:fly”\.$/),
        subject: { id: shop.id },
      },
    ]);
    expect(await explained({ scope: 'orders:delete' })).toMatchObject([
      { rule: 'scope_not_granted', text: expect.stringContaining('“orders:delete” is not granted to the client.') },
    ]);
    expect(await explained({ scope: 'orders:update', access_key: key.access_key })).toMatchObject([
      {
        rule: 'scope_not_of_access_key',
        text: expect.stringContaining('“orders:update” is granted to the client'),
      },
      { rule: 'scope_not_of_access_key', subject: { type: 'access_key', id: key.id } },
    ]);
    // A credential that was sent in the wrong parameter is not stored.
    expect(JSON.stringify(await explained({ scope: shop.secret }))).not.toContain(shop.secret.slice(4, -8));
  });

  test('with a resource that is unknown names the resource and the rule', async () => {
    const answer = await oauth.token(shop, { resource: 'https://nowhere.example' });
    const { decided } = await explain(idOf(answer));
    expect(decided).toMatchObject({
      rule: 'unknown_resource',
      text: expect.stringMatching(
        /400 invalid_target: no resource server has the identifier “https:\/\/nowhere\.example”\.$/,
      ),
    });
  });

  test('with an unknown access key', async () => {
    const answer = await oauth.token(shop, { access_key: generateSecret('ktk_') });
    expect((await explain(idOf(answer))).decided?.rule).toBe('unknown_access_key');
  });

  test('but says that nothing is known of an accepted one, and of one after a day', async () => {
    expect(await explain(idOf(await oauth.token(shop)))).toMatchObject({ kind: 'unknown', verdict: 'unknown' });
    const id = idOf(await oauth.token({ ...shop, secret: generateSecret('kts_') }));
    expect((await explain(id)).verdict).toBe('rejected');
    now += 25 * 60 * minuteMs;
    expect(await explain(id)).toMatchObject({ kind: 'unknown', verdict: 'unknown' });
  });

  test('of which at most 20 of one client are kept between two writes', async () => {
    const ids: string[] = [];
    await server.core.usage.flush();
    const refused = { client: crypto.randomUUID(), decidedBy: null, generation: null, reason: 'wrong_secret' };
    for (let count = 0; count < 30; count++) {
      ids.push(crypto.randomUUID());
      const request = { id: ids[count] ?? '', at: new Date(now), path: '/oauth2/token', status: 401, code: null };
      server.core.usage.rejected({ ...request, ...refused });
    }
    const verdicts = await Promise.all(ids.map(async (id) => (await explain(id)).verdict));
    expect(verdicts.filter((verdict) => verdict === 'rejected')).toHaveLength(20);
  });
});

test('writes neither an audit event nor the value, and needs the permission integrations:view', async () => {
  const events = async () => (await server.adminFetch('/audit-events?limit=1')).json.data[0].id;
  const before = await events();
  await explain(shop.secret);
  expect(await events()).toBe(before);
  const others = await server.operatorToken(permissions.filter((permission) => permission !== 'integrations:view'));
  const answer = await server.adminFetch('/explain', { method: 'POST', body: { value: shop.secret }, token: others });
  expect(answer.status).toBe(403);
});
