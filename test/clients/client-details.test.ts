import { type AdminAnswer, type AdminServer, startAdminServer } from '../admin/admin-server.ts';

let server: AdminServer;
let owner: string;

beforeAll(async () => {
  server = await startAdminServer();
  await post('/clients', {
    name: 'API',
    kind: 'resource_server',
    resource: 'https://api.example',
    information: ['orders'],
  });
  owner = (await post('/contacts', { name: 'Ann', email: 'ann@example.com' })).json.id;
});
afterAll(() => server?.close());

const post = (path: string, body: unknown) => server.adminFetch(path, { method: 'POST', body });
const patch = (path: string, body: unknown) => server.adminFetch(path, { method: 'PATCH', body });
const register = (body: object): Promise<AdminAnswer> =>
  post('/clients', { name: 'Sync', kind: 'integration', scope: 'orders:read', ...body });

const details = () => ({
  owner_contact_id: owner,
  description: 'Sends orders.\nAsk before Christmas.',
  labels: { team: 'logistics', 'example.com/stage': 'production', empty: '' },
  metadata: { crm: { id: 4711, tags: ['a', null, true] } },
  contacts: ['it@partner.example', '+49 30 1234'],
  access_token_ttl: 900,
  default_scope: 'orders:read',
  claims: { tenant: 'acme', level: 3, trial: false, regions: ['eu', 'us'] },
});

it('stores what operators note about a client, changes only what is sent, and records it in the audit log', async () => {
  const made = await register(details());
  expect(made).toMatchObject({ status: 201, json: details() });
  const path = `/clients/${made.json.client_id}`;
  const changed = await patch(path, { labels: { team: 'sales' }, description: null, access_token_ttl: null });
  const now = { ...details(), labels: { team: 'sales' }, description: null, access_token_ttl: null };
  expect(changed).toMatchObject({ status: 200, json: now });
  // Acts that change something else keep it.
  await post(`${path}/disable`, {});
  await post(`${path}/tokens/revoke`, {});
  expect((await post(`${path}/enable`, {})).json).toMatchObject(now);
  const { json: events } = await server.adminFetch(`/audit-events?target=${made.json.client_id}`);
  const update = events.data.find(({ action }: { action: string }) => action === 'client.update');
  expect(update).toMatchObject({ before: details(), after: now });
});

it('stores notes and claims of an access key', async () => {
  const notes = { description: 'For the warehouse', labels: { site: 'HAM' }, claims: { site: 'HAM' } };
  const made = await post(`/contacts/${owner}/access-keys`, { name: 'A', permissions: {}, ...notes });
  expect(made).toMatchObject({ status: 201, json: notes });
  const path = `/access-keys/${made.json.id}`;
  await patch(path, { name: 'B' });
  expect((await patch(path, { claims: {} })).json).toMatchObject({ ...notes, name: 'B', claims: {} });
  expect((await server.adminFetch('/access-keys?label=site%3DHAM')).json.data).toMatchObject([{ id: made.json.id }]);
  expect((await server.adminFetch('/access-keys?label=site%3DBER')).json.data).toEqual([]);
  expect((await server.adminFetch('/access-keys?label=site&q=b')).json.data).toMatchObject([{ id: made.json.id }]);
});

it('lists clients by owner and by label, also together with a search', async () => {
  const label = { labels: { shelf: 'top' } };
  const one = await register({ name: 'Listed first', ...label, owner_contact_id: owner });
  const two = await register({ name: 'Listed second', labels: { shelf: 'low' } });
  const listed = async (query: string) =>
    (await server.adminFetch(`/clients?${query}`)).json.data.map(({ client_id: id }: { client_id: string }) => id);
  expect(await listed('label=shelf%3Dtop')).toEqual([one.json.client_id]);
  expect(await listed('label=shelf')).toEqual([two.json.client_id, one.json.client_id]);
  expect(await listed('label=shelf&q=second')).toEqual([two.json.client_id]);
  expect(await listed(`label=shelf&owner_contact_id=${owner}`)).toEqual([one.json.client_id]);
  expect((await server.adminFetch('/clients?label=%3Dtop')).status).toBe(400);
});

it('refuses to delete a contact who owns clients, and names them', async () => {
  const { json: contact } = await post('/contacts', { name: 'Bob', email: 'bob@example.com' });
  const { json: client } = await register({ owner_contact_id: contact.id });
  const remove = () => server.adminFetch(`/contacts/${contact.id}`, { method: 'DELETE' });
  expect(await remove()).toMatchObject({
    status: 409,
    json: { code: 'contact_owns_clients', clients: [{ client_id: client.client_id, name: 'Sync' }], total: 1 },
  });
  await patch(`/clients/${client.client_id}`, { owner_contact_id: null });
  expect((await remove()).status).toBe(204);
  const late = await patch(`/clients/${client.client_id}`, { owner_contact_id: contact.id });
  expect(late).toMatchObject({ status: 400, json: { detail: 'owner_contact_id: contact not found.' } });
});

it.each([
  ['labels', { labels: { '-x': 'y' } }],
  ['labels', { labels: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`k${index}`, 'v'])) }],
  ['labels', { labels: { key: '\u202ereversed' } }],
  ['labels', { labels: { key: 'x'.repeat(201) } }],
  ['metadata', { metadata: { text: 'x'.repeat(16_384) } }],
  ['metadata', '{"metadata":{"big":1e999}}'],
  ['metadata', { metadata: [] }],
  ['metadata.a', { metadata: { a: 'nul \u0000' } }],
  ['metadata.a', '{"metadata":{"a":"\\ud800"}}'],
  ['description', { description: 'x'.repeat(2_001) }],
  ['description', { description: '\u200b' }],
  ['contacts', { contacts: Array(11).fill('x') }],
  ['access_token_ttl', { access_token_ttl: 59 }],
  ['access_token_ttl', { access_token_ttl: 86_401 }],
  ['access_token_ttl', { access_token_ttl: 60.5 }],
  ['default_scope', { default_scope: 'orders:delete' }],
  ['claims', { claims: { iss: 'https://evil.example' } }],
  ['claims', { claims: { Sub: 'admin' } }],
  ['claims', { claims: { scope: 'all' } }],
  ['claims', { claims: { active: true } }],
  ['claims', { claims: { cnf: 'x' } }],
  ['claims', { claims: { roles: ['admin'] } }],
  ['claims', { claims: { organization_id: 'x' } }],
  ['claims', { claims: { contact_id: 'x' } }],
  ['claims', { claims: { 'https://keyturn.dev/claims': 'x' } }],
  ['claims', { claims: { 'a b': 'x' } }],
  ['claims.a', { claims: { a: null } }],
  ['claims.a', { claims: { a: { b: 1 } } }],
  ['claims.a', { claims: { a: [1] } }],
  ['claims', { claims: { a: 'x'.repeat(1_024) } }],
  ['claims', { claims: Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`k${index}`, 1])) }],
])('rejects unusable details of a client, naming %s: %j', async (field, body) => {
  const { json: client } = await register({ name: 'Strict' });
  const answer = await patch(`/clients/${client.client_id}`, body);
  expect(answer.status).toBe(400);
  expect(answer.json.detail).toContain(field);
});

it('keeps details out of the cache of requests', async () => {
  const { json: client } = await register(details());
  const known = await server.core.clients.find(client.client_id);
  expect(known?.client).toMatchObject({ details: null, tokenTtlSeconds: 900 });
});
