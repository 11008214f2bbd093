import { type AdminServer, startAdminServer } from '../admin/admin-server.ts';
import { createTestStores, type Stores } from '../harness.ts';
import { jwtBearer, makeAssertion } from '../oauth/assertion.ts';
import { endpointsOf, registerAll, type TestClient } from '../oauth/fixture.ts';
import { post } from '../oauth/http-client.ts';
import { askWith, jwkOf, makeKey, proofEnv, registrationOf } from '../regeneration/proof.ts';
import { backUp, restore } from './restored-database.ts';

type SigningProof = Awaited<ReturnType<typeof makeKey>>;

let stores: Stores;
let server: AdminServer;
let clients: Awaited<ReturnType<typeof registerAll>>;
/** Milliseconds by which the server's clock is ahead. */
let ahead = 0;

async function start(): Promise<void> {
  server = await startAdminServer({ stores, env: proofEnv, clock: () => Date.now() + ahead });
}

beforeEach(async () => {
  ahead = 0;
  stores = await createTestStores();
  await start();
  clients = await registerAll(server.core);
});
afterEach(() => server.close());

/** Acts, then brings the database back to its state before, and starts a server on it that knows the act from Redis. */
async function lose(act: () => Promise<unknown>): Promise<void> {
  await server.close();
  const backup = await backUp(stores);
  await start();
  await act();
  await server.close();
  await restore(stores, backup);
  await start();
}

async function send(method: string, path: string, body?: object) {
  const answer = await server.adminFetch(path, { method, ...(body ? { body } : {}) });
  expect([path, answer.status, answer.text]).toEqual([path, expect.any(Number), expect.any(String)]);
  expect(answer.status).toBeLessThan(300);
  return answer.json;
}

const statusOf = async (client: TestClient, form = {}) =>
  (await endpointsOf(server.publicUrl).token(client, form)).status;

async function lossEvent() {
  const { data } = (await server.adminFetch('/audit-events?action=deployment.changes_lost')).json;
  expect(data).toHaveLength(1);
  return data[0].after;
}

async function createKey(more = {}) {
  const body = { name: 'Zoë', email: 'zoe@example.com' };
  const contact = await send('POST', '/contacts', body);
  const key = { name: 'Key', permissions: { orders: ['read', 'create'] }, ...more };
  return await send('POST', `/contacts/${contact.id}/access-keys`, key);
}

/** Registers an integration with keys or a certificate. Returns its Client ID. */
async function createWith(registration: object): Promise<string> {
  const body = { name: 'Signing', kind: 'integration', scope: 'orders:read', ...registration };
  return (await send('POST', '/clients', body)).client_id;
}

test('an undone rotation is undone again if the database has lost the undo', async () => {
  const { shop } = clients;
  const path = `/clients/${shop.id}`;
  const { confirmation } = await send('POST', `${path}/regeneration/review`, {});
  const turned = await send('POST', `${path}/regenerate`, { confirmation });
  const renewed = { id: turned.client_id, secret: turned.client_secret };
  expect([await statusOf(shop), await statusOf(renewed)]).toEqual([200, 200]);
  await lose(() => send('POST', `${path}/regenerations/${turned.regeneration_id}/undo`));

  expect([await statusOf(shop), await statusOf(renewed)]).toEqual([200, 401]);
  expect((await send('GET', path)).secrets).toMatchObject([{ retires_at: null }]);
  expect(await lossEvent()).toMatchObject({ undone: 1, secrets: 0 });
});

test('permissions that a client, an access key and an operator lost are removed again', async () => {
  const { shop } = clients;
  const key = await createKey();
  const operator = await server.operator(['contacts:manage', 'integrations:edit']);
  await lose(async () => {
    await send('PATCH', `/clients/${shop.id}`, { scope: 'orders:read products:read' });
    await send('PATCH', `/access-keys/${key.id}`, { permissions: { orders: ['read'] } });
    await send('PATCH', `/contacts/${operator.id}`, { permissions: ['integrations:edit'] });
  });

  expect((await send('GET', `/clients/${shop.id}`)).scope.split(' ').sort()).toEqual(['orders:read', 'products:read']);
  expect((await send('GET', `/access-keys/${key.id}`)).permissions).toEqual({ orders: ['read'] });
  expect((await send('GET', `/contacts/${operator.id}`)).permissions).toEqual(['integrations:edit']);
  expect(await statusOf(shop, { scope: 'orders:create' })).toBe(400);
  const body = { name: 'Ida', email: 'ida@example.com' };
  expect((await server.adminFetch('/contacts', { method: 'POST', token: operator.token, body })).status).toBe(403);
  expect(await lossEvent()).toMatchObject({ narrowed: 3 });
});

test('requirements that were added to a client apply again, and it may not rotate itself', async () => {
  const { shop } = clients;
  await send('PATCH', `/clients/${shop.id}`, { self_rotation: true });
  const demands = {
    dpop_bound_access_tokens: true,
    tls_client_certificate_bound_access_tokens: true,
    self_rotation: false,
  };
  const limits = { ...demands, access_key: 'required', access_token_ttl: 120, allowed_networks: ['127.0.0.0/8'] };
  await send('PATCH', `/clients/${shop.id}`, { dialects: ['token_endpoint_audience', 'audience'] });
  await lose(() => send('PATCH', `/clients/${shop.id}`, { ...limits, dialects: ['audience'] }));

  expect(await send('GET', `/clients/${shop.id}`)).toMatchObject({ ...limits, dialects: ['audience'] });
  expect(await statusOf(shop)).toBe(400);
  expect(await lossEvent()).toMatchObject({ narrowed: 1 });
  await send('PATCH', `/clients/${shop.id}`, {
    dpop_bound_access_tokens: false,
    tls_client_certificate_bound_access_tokens: false,
    access_key: 'optional',
  });
  expect(await statusOf(shop)).toBe(200);
});

test('a public key that was removed without a rotation is removed again, and the others remain', async () => {
  const [kept, removed] = [await makeKey(), await makeKey()];
  const jwks = { keys: [jwkOf(kept), jwkOf(removed)] };
  const id = await createWith({ auth_method: 'private_key_jwt', jwks });
  const statusWith = async (key: SigningProof) =>
    (await askWith(`${server.publicUrl}/oauth2/token`, id, key, { now: Date.now() + ahead })).status;
  await lose(() => send('PATCH', `/clients/${id}`, { jwks: { keys: [jwkOf(kept)] } }));

  expect((await send('GET', `/clients/${id}`)).jwks).toEqual({ keys: [jwkOf(kept)] });
  expect(await lossEvent()).toMatchObject({ narrowed: 1, secrets: 0 });
  ahead = 12_000;
  expect([await statusWith(kept), await statusWith(removed)]).toEqual([200, 401]);
});

const subject = {
  auth_method: 'tls_client_auth',
  tls_client_auth_subject_dn: 'CN=old',
  tls_client_certificate_bound_access_tokens: false,
};
test.each<[string, (first: SigningProof) => Promise<[object, object]>]>([
  ['every public key', async (first) => [registrationOf(first), { jwks: { keys: [jwkOf(await makeKey())] } }]],
  [
    'the jwks_uri',
    async () => [{ auth_method: 'private_key_jwt', jwks_uri: 'https://a.example' }, { jwks_uri: 'https://b.example' }],
  ],
  ['the certificate subject', async () => [subject, { tls_client_auth_subject_dn: 'CN=new' }]],
])(
  'a client cannot authenticate until it gets new keys if the database has lost the replacement of %s',
  async (_, make) => {
    const [first, next] = [await makeKey(), await makeKey()];
    const [before, after] = await make(first);
    const id = await createWith(before);
    await lose(() => send('PATCH', `/clients/${id}`, after));

    ahead = 12_000;
    const statusWith = async (key: SigningProof) =>
      (await askWith(`${server.publicUrl}/oauth2/token`, id, key, { now: Date.now() + ahead })).status;
    expect(await lossEvent()).toMatchObject({ narrowed: 1, secrets: 1 });
    expect(await statusWith(first)).toBe(401);
    const replace = { auth_method: 'private_key_jwt', jwks: { keys: [jwkOf(next)] } };
    const { confirmation } = await send('POST', `/clients/${id}/regeneration/review`, { replace });
    await send('POST', `/clients/${id}/regenerate`, { confirmation, replace });
    expect([await statusWith(first), await statusWith(next)]).toEqual([401, 200]);
  },
);

test('what an API offered before is not offered again', async () => {
  const read = { description: 'Read', information: 'bins', action: 'read' };
  const body = {
    name: 'Bins',
    kind: 'resource_server',
    resource: 'https://bins.example',
    information: ['bins', 'lids'],
  };
  const scopes = [
    { ...read, name: 'bins.read', aliases: ['bins.list'] },
    { name: 'export', description: 'Export' },
  ];
  const id: string = (await send('POST', '/clients', { ...body, scopes })).client_id;
  const path = `/clients/${id}`;
  await lose(async () => {
    await send('PATCH', path, { information: ['bins'] });
    await send('PATCH', path, { scopes: [{ ...read, name: 'bins.read' }] });
  });

  const offered = await send('GET', path);
  expect(offered.information).toEqual(['bins']);
  expect(offered.scopes).toMatchObject([{ name: 'bins.read', aliases: [] }]);
  for (const scope of ['lids:read', 'bins.list', 'export']) {
    expect((await server.adminFetch(`/clients/${clients.shop.id}`, { method: 'PATCH', body: { scope } })).status).toBe(
      400,
    );
  }
  expect((await send('PATCH', `/clients/${clients.shop.id}`, { scope: 'bins.read' })).scope).toBe('bins.read');
  expect(await lossEvent()).toMatchObject({ narrowed: 2 });
});

test('an access key is limited again to the clients and the end that it had been limited to', async () => {
  const { shop, partner } = clients;
  const key = await createKey();
  const end = new Date(Date.now() + 3_600_000).toISOString();
  await lose(() => send('PATCH', `/access-keys/${key.id}`, { clients: [shop.id], expires_at: end }));

  expect(await send('GET', `/access-keys/${key.id}`)).toMatchObject({ clients: [shop.id], expires_at: end });
  expect(await statusOf(shop, { access_key: key.access_key })).toBe(200);
  expect(await statusOf(partner, { access_key: key.access_key })).toBe(400);
});

test('an organization that was disabled by a lost change is disabled again', async () => {
  const organization = await send('POST', '/organizations', { name: 'Acme' });
  const body = { name: 'Sync', kind: 'integration', organization_id: organization.id };
  const { client_id: id, client_secret: secret } = await send('POST', '/clients', body);
  expect(await statusOf({ id, secret })).toBe(200);
  await lose(() => send('POST', `/organizations/${organization.id}/disable`, {}));

  expect(await send('GET', `/organizations/${organization.id}`)).toMatchObject({ status: 'disabled' });
  expect(await statusOf({ id, secret })).toBe(401);
  await send('POST', `/organizations/${organization.id}/enable`, {});
  expect(await statusOf({ id, secret })).toBe(200);
});

test('an access key whose removal was lost is disabled', async () => {
  const key = await createKey();
  await lose(() => send('DELETE', `/access-keys/${key.id}`));

  expect(await send('GET', `/access-keys/${key.id}`)).toMatchObject({ status: 'disabled' });
  expect(await statusOf(clients.shop, { access_key: key.access_key })).toBe(400);
});

test.each([
  ['revoked', 'DELETE'],
  ['replaced', 'POST'],
])('an operator token that was %s ends again', async (_, method) => {
  const { id, token } = await server.operator();
  await lose(() => send(method, `/contacts/${id}/operator-token`));

  expect((await server.adminFetch('/clients', { token })).status).toBe(401);
  expect(await lossEvent()).toMatchObject({ operator_tokens: 1 });
});

test('a named operator token that was revoked, or ended with its contact, ends again', async () => {
  const [one, other] = [await server.operator(), await server.operator()];
  const issue = (contact_id: string) => send('POST', '/operator-tokens', { name: 'Pipeline', contact_id });
  const [revoked, orphan] = [await issue(one.id), await issue(other.id)];
  await lose(async () => {
    await send('DELETE', `/operator-tokens/${revoked.id}`);
    await send('DELETE', `/contacts/${other.id}`);
  });

  for (const { operator_token: token } of [revoked, orphan]) {
    expect((await server.adminFetch('/clients', { token })).status).toBe(401);
  }
  expect(await lossEvent()).toMatchObject({ operator_tokens: 3 });
});

test('an assertion that was used before a loss gets 503, and a later one is accepted', async () => {
  const key = await makeKey();
  const id = await createWith(registrationOf(key));
  const make = (at: number) =>
    makeAssertion(key.pair, id, proofEnv.KEYTURN_ISSUER, {
      claims: { iat: at, exp: at + 60 },
      header: { kid: key.kid as string },
    });
  const ask = async (assertion: string) => {
    const form = { grant_type: 'client_credentials', client_assertion_type: jwtBearer, client_assertion: assertion };
    return (await post(`${server.publicUrl}/oauth2/token`, form)).status;
  };
  const used = await make(Math.floor(Date.now() / 1_000));
  await lose(async () => {
    expect(await ask(used)).toBe(200);
    // Any change that Redis holds shows the loss.
    await send('POST', `/clients/${clients.bare.id}/disable`);
  });

  expect(await ask(used)).toBe(503);
  ahead = 12_000;
  expect(await ask(used)).toBe(503);
  expect(await ask(await make(Math.floor((Date.now() + ahead) / 1_000)))).toBe(200);
});
