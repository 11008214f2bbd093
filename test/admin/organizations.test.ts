import { deploymentOrganization } from '../../src/storage/organization-limit.ts';
import { eventually } from '../eventually.ts';
import { endpointsOf, inactive, ordersResource, registerAll, type TestClient } from '../oauth/fixture.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let here: AdminServer;
let there: AdminServer;
let apis: Awaited<ReturnType<typeof registerAll>>;

/** Two processes of one deployment. */
beforeAll(async () => {
  here = await startAdminServer();
  there = await startAdminServer({ stores: here.stores });
  apis = await registerAll(here.core);
});
afterAll(async () => {
  await there?.close();
  await here?.close();
});

async function post(path: string, body: object = {}, status = 201) {
  const answer = await here.adminFetch(path, { method: 'POST', body });
  if (answer.status !== status) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
  return answer.json;
}

let number = 0;

async function organize(ceiling?: object) {
  number += 1;
  const { id } = await post('/organizations', { name: `Partner ${number}`, ...(ceiling ? { ceiling } : {}) });
  return id as string;
}

const newClient = (organization: string, scope = 'orders:read') => ({
  name: 'Sync',
  kind: 'integration',
  scope,
  organization_id: organization,
});

async function generate(organization: string, scope?: string): Promise<TestClient> {
  const { client_id: id, client_secret: secret } = await post('/clients', newClient(organization, scope));
  return { id, secret };
}

async function newContact(organization: string, permissions: string[] = []): Promise<string> {
  const body = { name: 'Ann', email: 'ann@example.com', organization_id: organization, permissions };
  return (await post('/contacts', body)).id;
}

const newKey = { name: 'Key', permissions: { orders: ['read'] } };

test('creates, finds, changes and deletes an organization', async () => {
  const created = await here.adminFetch('/organizations', {
    method: 'POST',
    body: { name: 'Acme Trading', external_id: 'crm-1', labels: { tier: 'gold' } },
  });
  expect(created).toMatchObject({
    status: 201,
    json: {
      name: 'Acme Trading',
      external_id: 'crm-1',
      status: 'enabled',
      is_deployment: false,
      labels: { tier: 'gold' },
      ceiling: { scopes: null, integrations: null, access_keys: null, key_lifetime: null, reveal: true },
      integrations: 0,
      access_keys: 0,
      contacts: 0,
    },
  });
  const path = `/organizations/${created.json.id}`;
  expect(created.headers.get('location')).toBe(`/admin/v1${path}`);
  for (const query of ['q=acme', 'q=crm-1', 'label=tier%3Dgold', 'status=enabled&q=trad']) {
    const { json } = await here.adminFetch(`/organizations?${query}`);
    expect([query, json.data.map(({ id }: { id: string }) => id)]).toEqual([query, [created.json.id]]);
  }
  const change = (ifMatch: string) =>
    here.adminFetch(path, { method: 'PATCH', body: { name: 'Acme' }, headers: { 'If-Match': ifMatch } });
  expect((await change('"99"')).status).toBe(412);
  const changed = await change(created.headers.get('etag') ?? '');
  expect(changed.json).toMatchObject({ name: 'Acme', external_id: 'crm-1', labels: { tier: 'gold' } });
  const taken = { name: 'Other', external_id: 'crm-1' };
  expect((await here.adminFetch('/organizations', { method: 'POST', body: taken })).json.code).toBe(
    'external_id_taken',
  );
  expect((await here.adminFetch(path, { method: 'DELETE' })).status).toBe(204);
  expect((await here.adminFetch(path)).status).toBe(404);
  const { json: log } = await here.adminFetch(`/audit-events?target=${created.json.id}`);
  expect(log.data.map(({ action }: { action: string }) => action)).toEqual([
    'organization.delete',
    'organization.update',
    'organization.create',
  ]);
});

test('gives everything that names no organization to that of the deployment, which tokens do not name', async () => {
  const api = endpointsOf(here.publicUrl);
  const { json: shop } = await here.adminFetch(`/clients/${apis.shop.id}`);
  expect(shop.organization_id).toBe(deploymentOrganization);
  const introspected = await api.introspect(apis.orders, await api.accessToken(apis.shop));
  expect(introspected.json).toMatchObject({ active: true, client_id: apis.shop.id });
  expect(introspected.json).not.toHaveProperty('organization_id');
  const path = `/organizations/${deploymentOrganization}`;
  expect((await here.adminFetch(path)).json).toMatchObject({ is_deployment: true, status: 'enabled' });
  for (const [method, below, body] of [
    ['POST', '/disable', {}],
    ['DELETE', '', undefined],
    ['PATCH', '', { ceiling: { integrations: 1_000 } }],
  ] as const) {
    const refused = await here.adminFetch(`${path}${below}`, { method, body });
    expect([method, refused.status, refused.json.code]).toEqual([method, 409, 'deployment_organization']);
  }
  expect((await here.adminFetch(path, { method: 'PATCH', body: { name: 'Our own' } })).status).toBe(200);
});

test('introspection and JWTs name the organization of the client', async () => {
  const api = endpointsOf(here.publicUrl);
  const organization = await organize();
  const client = await generate(organization);
  const introspected = await api.introspect(apis.orders, await api.accessToken(client));
  expect(introspected.json).toMatchObject({ active: true, organization_id: organization });
  const { client_id: id, client_secret: secret } = await post('/clients', {
    name: 'JWT API',
    kind: 'resource_server',
    resource: 'https://jwt.example',
    information: ['reports'],
    token_format: 'jwt',
  });
  const reporter = await generate(organization, 'reports:read');
  const token = await api.accessToken(reporter);
  const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  expect(claims).toMatchObject({ organization_id: organization, client_id: reporter.id });
  expect((await api.introspect({ id, secret }, token)).json).toMatchObject({ organization_id: organization });
});

test('lists filter by organization', async () => {
  const organization = await organize();
  const client = await generate(organization);
  const contact = await newContact(organization);
  const { id: key } = await post(`/contacts/${contact}/access-keys`, newKey);
  const idsOf = async (path: string, id: string) =>
    (await here.adminFetch(`${path}?organization_id=${organization}`)).json.data.map(
      (each: Record<string, string>) => each[id],
    );
  expect(await idsOf('/clients', 'client_id')).toEqual([client.id]);
  expect(await idsOf('/contacts', 'id')).toEqual([contact]);
  expect(await idsOf('/access-keys', 'id')).toEqual([key]);
  expect((await here.adminFetch(`/organizations/${organization}`)).json).toMatchObject({
    integrations: 1,
    access_keys: 1,
    contacts: 1,
  });
});

test('disabling an organization ends its tokens, keys and operators in every process, and its tokens stay ended', async () => {
  const organization = await organize();
  const [atHere, atThere] = [endpointsOf(here.publicUrl), endpointsOf(there.publicUrl)];
  const client = await generate(organization);
  const contact = await newContact(organization, ['integrations:view']);
  const { access_key: accessKey } = await post(`/contacts/${contact}/access-keys`, newKey);
  const { operator_token: operator } = await post(`/contacts/${contact}/operator-token`);
  const token = await atHere.accessToken(client);
  const withKey = await atHere.accessToken(apis.shop, { access_key: accessKey });
  const isActive = async (at: typeof atHere, value: string) =>
    (await at.introspect(apis.orders, value)).json['active'] as boolean;
  for (const at of [atHere, atThere])
    for (const value of [token, withKey]) expect(await isActive(at, value)).toBe(true);
  expect((await there.adminFetch('/me', { token: operator })).status).toBe(200);

  await post(`/organizations/${organization}/disable`, {}, 200);
  expect(await isActive(atHere, token)).toBe(false);
  await eventually(async () => !(await isActive(atThere, token)) && !(await isActive(atThere, withKey)));
  for (const at of [atHere, atThere]) {
    expect((await at.introspect(apis.orders, token)).text).toBe(inactive);
    expect((await at.token(client)).status).toBe(401);
    expect((await at.token(apis.shop, { access_key: accessKey })).json['error']).toBe('invalid_grant');
  }
  expect((await there.adminFetch('/me', { token: operator })).status).toBe(401);
  const issue = await here.adminFetch(`/clients/${client.id}/authorization-token`, { method: 'POST', body: {} });
  expect(issue.json.code).toBe('organization_is_disabled');
  const { json: explained } = await here.adminFetch('/explain', { method: 'POST', body: { value: client.secret } });
  expect(explained).toMatchObject({ verdict: 'rejected', findings: [{ rule: 'organization_disabled' }] });

  await post(`/organizations/${organization}/enable`, {}, 200);
  await eventually(async () => (await atThere.token(client)).status === 200);
  for (const at of [atHere, atThere]) expect(await isActive(at, token)).toBe(false);
  expect(await isActive(atHere, withKey)).toBe(true);
  expect((await there.adminFetch('/me', { token: operator })).status).toBe(200);
});

test('an organization is deleted with its contacts and clients once nothing of it is live', async () => {
  const organization = await organize();
  const client = await generate(organization);
  const contact = await newContact(organization, ['integrations:view']);
  const { id: key } = await post(`/contacts/${contact}/access-keys`, newKey);
  await post(`/contacts/${contact}/operator-token`);
  const remove = () => here.adminFetch(`/organizations/${organization}`, { method: 'DELETE' });
  expect(await remove()).toMatchObject({
    status: 409,
    json: {
      code: 'organization_is_live',
      clients: [{ client_id: client.id }],
      access_keys: [{ id: key }],
      operators: [{ id: contact }],
    },
  });
  await post(`/clients/${client.id}/disable`, {}, 200);
  await post(`/access-keys/${key}/disable`, {}, 200);
  expect((await remove()).status).toBe(409);
  await here.adminFetch(`/contacts/${contact}/operator-token`, { method: 'DELETE' });
  const keeper = await here.operator();
  for (const limited of [
    { contact_id: contact },
    { contact_id: keeper.id, organization_id: organization, permissions: [] },
  ]) {
    const { id: token } = await post('/operator-tokens', { name: 'Pipeline', ...limited });
    expect(await remove()).toMatchObject({ status: 409, json: { operators: [{ id: limited.contact_id }] } });
    await here.adminFetch(`/operator-tokens/${token}`, { method: 'DELETE' });
  }
  expect((await remove()).status).toBe(204);
  for (const path of [`/clients/${client.id}`, `/contacts/${contact}`, `/access-keys/${key}`]) {
    expect((await here.adminFetch(path)).status).toBe(404);
  }
});

test('the last manager of contacts cannot leave the organization of the deployment', async () => {
  const server = await startAdminServer();
  const { json: contacts } = await server.adminFetch('/contacts');
  const { json: organization } = await server.adminFetch('/organizations', { method: 'POST', body: { name: 'Acme' } });
  const refused = await server.adminFetch(`/contacts/${contacts.data[0].id}`, {
    method: 'PATCH',
    body: { organization_id: organization.id },
  });
  expect([refused.status, refused.json.code]).toEqual([409, 'last_contacts_manager']);
  await server.close();
});

describe('a ceiling', () => {
  const allowed = { scopes: [{ resource: ordersResource, scope: 'orders:read' }] };
  const exceeded = { status: 409, json: { code: 'ceiling_exceeded' } };

  test('names only resource servers and scopes that exist', async () => {
    const scopes = [{ resource: ordersResource, scope: 'orders:fly' }];
    const refused = await here.adminFetch('/organizations', {
      method: 'POST',
      body: { name: 'X', ceiling: { scopes } },
    });
    expect(refused).toMatchObject({ status: 400, json: { issues: [{ path: 'ceiling.scopes.0.scope' }] } });
  });

  test('limits the scopes of integrations and access keys', async () => {
    const organization = await organize(allowed);
    const client = await generate(organization);
    const refused = await here.adminFetch('/clients', {
      method: 'POST',
      body: newClient(organization, 'orders:create'),
    });
    expect(refused).toMatchObject({ ...exceeded, json: { scope: 'orders:create' } });
    const scope = 'orders:read products:read';
    expect(await here.adminFetch(`/clients/${client.id}`, { method: 'PATCH', body: { scope } })).toMatchObject(
      exceeded,
    );
    const contact = await newContact(organization);
    const { id: key } = await post(`/contacts/${contact}/access-keys`, newKey);
    const permissions = { orders: ['read', 'delete'] };
    const keys = `/contacts/${contact}/access-keys`;
    expect(await here.adminFetch(keys, { method: 'POST', body: { name: 'More', permissions } })).toMatchObject(
      exceeded,
    );
    expect(await here.adminFetch(`/access-keys/${key}`, { method: 'PATCH', body: { permissions } })).toMatchObject(
      exceeded,
    );
  });

  test('cannot be lower than what is there, and what moves in must be within it', async () => {
    const open = await organize();
    const client = await generate(open, 'orders:create');
    const lower = await here.adminFetch(`/organizations/${open}`, { method: 'PATCH', body: { ceiling: allowed } });
    expect(lower).toMatchObject({ ...exceeded, json: { clients: [{ client_id: client.id }] } });
    const none = await here.adminFetch(`/organizations/${open}`, {
      method: 'PATCH',
      body: { ceiling: { integrations: 0 } },
    });
    expect(none).toMatchObject(exceeded);
    const limited = await organize(allowed);
    const move = (body: object) => here.adminFetch(`/clients/${client.id}`, { method: 'PATCH', body });
    expect(await move({ organization_id: limited })).toMatchObject(exceeded);
    const moved = await move({ organization_id: limited, scope: 'orders:read' });
    expect(moved.json).toMatchObject({ organization_id: limited, scope: 'orders:read' });
    const contact = await newContact(open);
    await post(`/contacts/${contact}/access-keys`, { name: 'Wide', permissions: { products: ['read'] } });
    const body = { organization_id: limited };
    expect(await here.adminFetch(`/contacts/${contact}`, { method: 'PATCH', body })).toMatchObject(exceeded);
  });

  test('holds when another API begins to offer a scope that integrations have', async () => {
    const organization = await organize(allowed);
    const client = await generate(organization);
    const body = { name: 'Copy', kind: 'resource_server', resource: 'https://copy.example', information: ['orders'] };
    expect(await here.adminFetch('/clients', { method: 'POST', body })).toMatchObject({
      ...exceeded,
      json: { clients: expect.arrayContaining([{ client_id: client.id, name: 'Sync' }]) },
    });
  });

  test('limits the life of access keys, and is the default of their expiry', async () => {
    const organization = await organize({ key_lifetime: 3_600 });
    const contact = await newContact(organization);
    const keys = `/contacts/${contact}/access-keys`;
    const key = await post(keys, newKey);
    expect(Date.parse(key.expires_at) - Date.parse(key.created_at)).toBe(3_600_000);
    for (const end of [null, new Date(Date.now() + 7_200_000).toISOString()]) {
      const body = { ...newKey, name: 'Long', expires_at: end };
      expect(await here.adminFetch(keys, { method: 'POST', body })).toMatchObject(exceeded);
      const patch = { method: 'PATCH', body: { expires_at: end } };
      expect(await here.adminFetch(`/access-keys/${key.id}`, patch)).toMatchObject(exceeded);
    }
  });

  test('forbids to show secrets again, and deletes the copies of those that could be shown', async () => {
    const organization = await organize();
    const client = await generate(organization);
    const contact = await newContact(organization);
    const { id: key } = await post(`/contacts/${contact}/access-keys`, newKey);
    await post(`/clients/${client.id}/secret/reveal`, {}, 200);
    const body = { ceiling: { reveal: false } };
    expect((await here.adminFetch(`/organizations/${organization}`, { method: 'PATCH', body })).status).toBe(200);
    for (const path of [`/clients/${client.id}/secret/reveal`, `/access-keys/${key}/reveal`]) {
      const refused = await here.adminFetch(path, { method: 'POST', body: {} });
      expect([path, refused.status, refused.json.code]).toEqual([path, 409, 'not_revealable']);
    }
    const wanted = { ...newClient(organization), reveal: true };
    expect(await here.adminFetch('/clients', { method: 'POST', body: wanted })).toMatchObject(exceeded);
    expect((await post('/clients', newClient(organization))).reveal).toBe(false);
  });

  test('holds if two processes create integrations and access keys at the same time', async () => {
    const organization = await organize({ integrations: 3, access_keys: 2 });
    const contacts = [await newContact(organization), await newContact(organization)];
    const create = (n: number, path: string, body: object) =>
      (n % 2 ? here : there).adminFetch(path, { method: 'POST', body });
    const statusesOf = (answers: { status: number }[]) => answers.map(({ status }) => status).sort();
    const clients = await Promise.all(
      Array.from({ length: 8 }, (_, n) => create(n, '/clients', { ...newClient(organization), name: `Sync ${n}` })),
    );
    expect(statusesOf(clients)).toEqual([201, 201, 201, 409, 409, 409, 409, 409]);
    const keys = await Promise.all(
      Array.from({ length: 8 }, (_, n) =>
        create(n, `/contacts/${contacts[(n >> 1) % 2]}/access-keys`, { ...newKey, name: `Key ${n}` }),
      ),
    );
    expect(statusesOf(keys)).toEqual([201, 201, 409, 409, 409, 409, 409, 409]);
  });

  test('holds if it is lowered while another process grants more', async () => {
    for (let round = 0; round < 5; round++) {
      const organization = await organize();
      const client = await generate(organization);
      const [lowered, granted] = await Promise.all([
        here.adminFetch(`/organizations/${organization}`, { method: 'PATCH', body: { ceiling: allowed } }),
        there.adminFetch(`/clients/${client.id}`, { method: 'PATCH', body: { scope: 'orders:read orders:create' } }),
      ]);
      expect([lowered.status, granted.status].sort()).toEqual([200, 409]);
    }
  });
});
