import { randomBytes } from 'node:crypto';
import { endpointsOf } from '../oauth/fixture.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;
let api: ReturnType<typeof endpointsOf>;

beforeAll(async () => {
  server = await startAdminServer();
  api = endpointsOf(server.publicUrl);
  const offer = { resource: 'https://api.example', information: ['orders', 'products'] };
  await server.adminFetch('/clients', { method: 'POST', body: { name: 'API', kind: 'resource_server', ...offer } });
});
afterAll(() => server?.close());

type Json = Record<string, unknown>;
const secretOf = () => `x${randomBytes(24).toString('base64url')}`;
const clientOf = (client_id: string, more: Json = {}) => ({
  client_id,
  client_secret: secretOf(),
  name: `The client ${client_id}`,
  scope: ['orders:read'],
  ...more,
});
const importThem = (clients: object[], more: Json = {}, options: Json = {}) =>
  server.adminFetch('/clients/import', { method: 'POST', body: { clients, ...more }, ...options });

/** Creates an organization with an operator who may do everything in it. @returns its id and the operator's token. */
async function createOrganization(name: string, ceiling: Json = {}): Promise<{ id: string; token: string }> {
  const post = async (path: string, body: object = {}) =>
    (await server.adminFetch(path, { method: 'POST', body })).json;
  const { id } = await post('/organizations', { name, ceiling });
  const permissions = ['integrations:view', 'integrations:edit', 'api_key:manage'];
  const contact = await post('/contacts', { name, email: 'o@example.com', organization_id: id, permissions });
  const { operator_token: token } = await post(`/contacts/${contact.id}/operator-token`);
  return { id, token };
}

describe('POST /clients/import', () => {
  it('imports clients whose old secrets work, and says what became of each', async () => {
    const good = clientOf('sync-1', { description: 'Old', labels: { team: 'a' }, access_token_ttl: 600 });
    const weak = clientOf('sync-2', { client_secret: 'aaaa' });
    const unknown = clientOf('sync-3', { scope: ['orders:fly'], unmet: ['it must use mutual TLS'] });
    const check = await importThem([good, weak, unknown], { check: true, skip_refused: true });
    const outcomes = (json: { clients: { outcome: string }[] }) => json.clients.map(({ outcome }) => outcome);
    expect([check.status, outcomes(check.json), check.json.imported]).toEqual([
      200,
      ['acceptable', 'refused', 'refused'],
      0,
    ]);
    expect(check.json.clients[2].reasons).toEqual([
      'it must use mutual TLS',
      'no resource server offers the scope orders:fly',
    ]);
    const none = await importThem([good, weak]);
    expect([outcomes(none.json), none.json.imported]).toEqual([['acceptable', 'refused'], 0]);
    expect((await server.adminFetch('/clients/sync-1')).status).toBe(404);

    const done = await importThem([good, weak, unknown], { skip_refused: true });
    expect([outcomes(done.json), done.json.imported]).toEqual([['imported', 'refused', 'refused'], 1]);
    const answer = await api.token({ id: 'sync-1', secret: good.client_secret });
    expect(answer.json).toMatchObject({ scope: 'orders:read', expires_in: 600 });
    const { json } = await server.adminFetch('/clients/sync-1');
    expect(json).toMatchObject({ name: good.name, description: 'Old', labels: { team: 'a' } });
    const again = await importThem([good], { resume: true });
    expect(outcomes(again.json)).toEqual(['present']);
    const events = (await server.adminFetch('/audit-events?target=sync-1')).json.data;
    expect(events[0].action).toBe('client.import');
  });

  it('gives new secrets once, also if the request is repeated after its answer was lost', async () => {
    const clients = [clientOf('fresh-1', { client_secret: undefined }), clientOf('fresh-2')];
    const options = { headers: { 'Idempotency-Key': 'import-1' } };
    const first = await importThem(clients, { fresh_secrets: true }, options);
    const [{ client_secret: secret }, kept] = first.json.clients;
    expect([kept.secret, kept.client_secret]).toEqual(['kept', undefined]);
    expect((await importThem(clients, { fresh_secrets: true }, options)).json).toEqual(first.json);
    expect((await api.token({ id: 'fresh-1', secret })).status).toBe(200);
    const { data } = (await server.adminFetch('/audit-events?target=fresh-1')).json;
    expect(data.map(({ action }: { action: string }) => action)).toEqual(['secret.show_again', 'client.import']);
  });

  it('takes 500 clients at once and no more, and rejects a client with text that cannot be stored', async () => {
    const many = Array.from({ length: 500 }, (_, index) => clientOf(`many-${index}`));
    expect((await importThem([...many, clientOf('many-500')])).status).toBe(400);
    const broken = { ...clientOf('many-0'), name: 'a\0b', description: 'c\ud800' };
    const refused = await importThem([broken, ...many.slice(1)]);
    expect([refused.status, refused.json.clients[0].reasons.length, refused.json.imported]).toEqual([200, 2, 0]);
    expect((await importThem(many)).json.imported).toBe(500);
    expect((await api.token({ id: 'many-499', secret: many[499]?.client_secret ?? '' })).status).toBe(200);
  });

  it('declares nothing in a check, but lists the scopes that a resource server would have to declare', async () => {
    const { data } = (await server.adminFetch('/clients?kind=resource_server')).json;
    const client = clientOf('named', { scope: ['orders:read', 'reports.export'] });
    const check = await importThem([client], { check: true, declare_scopes: data[0].client_id });
    expect([check.json.clients[0].outcome, check.json.missing_scopes]).toEqual(['acceptable', ['reports.export']]);
    expect((await importThem([client])).json.clients[0].outcome).toBe('refused');
    const wrong = await importThem([client], { check: true, declare_scopes: 'kti_0000000000000000000000' });
    expect([wrong.status, wrong.json.detail]).toEqual([400, expect.stringMatching(/^declare_scopes: no resource/)]);
  });
});

describe('an import into an organization', () => {
  it('counts and limits clients by its ceiling, also in a check of several requests', async () => {
    const ceiling = { integrations: 2, scopes: [{ resource: 'https://api.example', scope: 'orders:read' }] };
    const { id } = await createOrganization('Limited', ceiling);
    const [one, two, three] = ['limit-1', 'limit-2', 'limit-3'].map((each) => clientOf(each));
    const beyond = clientOf('limit-4', { scope: ['products:read'] });
    const check = await importThem([one ?? {}, beyond], { organization_id: id, check: true });
    expect(check.json.clients.map(({ reasons }: { reasons: string[] }) => reasons)).toEqual([
      [],
      ['the ceiling of the organization does not allow the scopes products:read'],
    ]);
    const rest = await importThem([two ?? {}, three ?? {}], { organization_id: id, check: true, accepted_before: 1 });
    expect(rest.json.clients.map(({ outcome }: { outcome: string }) => outcome)).toEqual(['acceptable', 'refused']);
    const done = await importThem([one ?? {}, two ?? {}], { organization_id: id });
    expect(done.json.imported).toBe(2);
    expect((await server.adminFetch('/clients/limit-1')).json.organization_id).toBe(id);
    const full = await importThem([three ?? {}], { organization_id: id });
    expect(full.json.clients[0].reasons).toEqual(['the organization may have at most 2 integrations']);
  });

  it('of its own operator goes there, and rejects Client IDs and secrets that others have', async () => {
    const [mine, theirs] = [await createOrganization('Mine'), await createOrganization('Theirs')];
    const taken = clientOf('taken-1');
    await importThem([taken], { organization_id: theirs.id });
    const options = { token: mine.token };
    const copies = [
      clientOf('taken-1'),
      { ...clientOf('mine-2'), client_secret: taken.client_secret },
      clientOf('mine-3'),
    ];
    const done = await importThem(copies, { skip_refused: true }, options);
    expect(done.json.clients.map(({ reasons }: { reasons: string[] }) => reasons)).toEqual([
      ['the Client ID is already registered'],
      ['the secret is already used by another client'],
      [],
    ]);
    expect((await server.adminFetch('/clients/mine-3')).json.organization_id).toBe(mine.id);
    const elsewhere = await importThem([clientOf('mine-4')], { organization_id: theirs.id }, options);
    expect([elsewhere.status, elsewhere.json.detail]).toEqual([400, 'organization_id: organization not found.']);
    const nowhere = await importThem([clientOf('mine-5')], { organization_id: crypto.randomUUID() });
    expect([nowhere.status, nowhere.json.detail]).toEqual([400, 'organization_id: organization not found.']);
  });
});
