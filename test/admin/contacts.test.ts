import { permissions } from '../../src/contacts/contact.ts';
import { type AdminServer, startAdminServer } from './admin-server.ts';

let server: AdminServer;

beforeAll(async () => {
  server = await startAdminServer();
});
afterAll(() => server.close());

const post = (body: object, token?: string) => server.adminFetch('/contacts', { method: 'POST', body, token });
const patch = (id: string, body: object, token?: string) =>
  server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body, token });

async function create(fields: object = {}) {
  const { status, json } = await post({ name: 'Ada', email: 'ada@example.com', ...fields });
  expect(status).toBe(201);
  return json;
}

test('creates, reads, finds, changes and deletes a contact', async () => {
  const created = await create({ name: 'Grace', external_id: 'crm-1' });
  expect(created).toMatchObject({ external_id: 'crm-1', permissions: [], operator_token_hint: null });
  expect((await server.adminFetch(`/contacts/${created.id}`)).json).toEqual(created);
  expect((await server.adminFetch('/contacts?q=crm-1')).json.data).toEqual([created]);
  const { json: changed } = await patch(created.id, { email: 'grace@example.com' });
  expect(changed).toMatchObject({ name: 'Grace', email: 'grace@example.com', external_id: 'crm-1' });
  expect((await patch(created.id, { external_id: null })).json.external_id).toBeNull();
  expect((await server.adminFetch(`/contacts/${created.id}`, { method: 'DELETE' })).status).toBe(204);
  expect((await server.adminFetch(`/contacts/${created.id}`)).status).toBe(404);
});

test.each([
  { email: 'not an address' },
  { permissions: ['everything'] },
  { permissions: 'integrations:view' },
  { operator_token: 'kto_x' },
  { id: crypto.randomUUID() },
  { external_id: '' },
])('rejects a contact with %j', async (fields) => {
  expect((await post({ name: 'Ada', email: 'ada@example.com', ...fields })).status).toBe(400);
});

test('creates one of six concurrent contacts with the same external id', async () => {
  const body = { name: 'Twin', email: 'twin@example.com', external_id: 'twin' };
  const answers = await Promise.all(Array.from({ length: 6 }, () => post(body)));
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
  expect(answers.find(({ status }) => status === 409)?.json.code).toBe('external_id_taken');
});

test('rejects a change of a contact with an outdated If-Match', async () => {
  const { id } = await create();
  await patch(id, { name: 'First' });
  const headers = { 'if-match': '"1"' };
  const late = await server.adminFetch(`/contacts/${id}`, { method: 'PATCH', body: { name: 'Second' }, headers });
  expect([late.status, late.json.code]).toEqual([412, 'precondition_failed']);
});

describe('an operator without a permission', () => {
  let token: string;
  beforeAll(async () => {
    token = await server.operatorToken(['contacts:manage', 'integrations:view']);
  });

  test('cannot grant the permission to a new contact', async () => {
    const body = { name: 'Eve', email: 'eve@example.com', permissions: ['integrations:view', 'api_key:manage'] };
    expect((await post(body, token)).status).toBe(403);
    expect((await post({ ...body, permissions: ['integrations:view'] }, token)).status).toBe(201);
  });

  test('cannot grant the permission to another contact or to themselves', async () => {
    const { id } = await create();
    expect((await patch(id, { permissions: ['audit:view'] }, token)).status).toBe(403);
    const own = await server.operator(['contacts:manage']);
    expect((await patch(own.id, { permissions }, own.token)).status).toBe(403);
    expect((await server.adminFetch(`/contacts/${own.id}`)).json.permissions).toEqual(['contacts:manage']);
  });

  test('cannot withdraw the permission or delete a contact that has it', async () => {
    const other = await server.operator(['api_key:manage']);
    expect((await patch(other.id, { permissions: [] }, token)).status).toBe(403);
    expect((await server.adminFetch(`/contacts/${other.id}`, { method: 'DELETE', token })).status).toBe(403);
  });

  test('cannot change the name, e-mail address or external id of a contact that has the permission', async () => {
    const other = await server.operator(permissions);
    for (const body of [{ name: 'Renamed' }, { email: 'eve@example.com' }, { external_id: 'eve' }]) {
      expect((await patch(other.id, body, token)).status).toBe(403);
    }
    const equal = await server.operator(['integrations:view']);
    expect((await patch(equal.id, { name: 'Renamed' }, token)).status).toBe(200);
  });

  test('cannot replace or revoke the operator token of a contact that has the permission', async () => {
    const other = await server.operator(permissions);
    const path = `/contacts/${other.id}/operator-token`;
    expect((await server.adminFetch(path, { method: 'POST', token })).status).toBe(403);
    expect((await server.adminFetch(path, { method: 'DELETE', token })).status).toBe(403);
    expect((await server.adminFetch('/clients', { token: other.token })).status).toBe(200);
  });
});

test('returns an operator token once, and rejects it as soon as it is replaced or revoked', async () => {
  const { id } = await create({ permissions: ['integrations:view'] });
  const path = `/contacts/${id}/operator-token`;
  const first = await server.adminFetch(path, { method: 'POST' });
  expect(first.json.operator_token).toMatch(/^kto_[0-9A-Za-z]{49}$/);
  const use = async (token: string) => (await server.adminFetch('/clients', { token })).status;
  expect(await use(first.json.operator_token)).toBe(200);
  const second = await server.adminFetch(path, { method: 'POST' });
  expect(await use(first.json.operator_token)).toBe(401);
  expect(await use(second.json.operator_token)).toBe(200);
  const shown = await server.adminFetch(`/contacts/${id}`);
  expect(shown.json.operator_token_hint).toBe(`…${second.json.operator_token.slice(-4)}`);
  expect(shown.text.includes(second.json.operator_token)).toBe(false);
  expect((await server.adminFetch(path, { method: 'DELETE' })).status).toBe(204);
  expect(await use(second.json.operator_token)).toBe(401);
  expect((await server.adminFetch(path, { method: 'DELETE' })).status).toBe(404);
});

describe('the last operator with contacts:manage', () => {
  let own: AdminServer;
  beforeEach(async () => {
    own = await startAdminServer();
  });
  afterEach(() => own.close());

  const managers = async () =>
    (await own.adminFetch('/contacts?limit=200')).json.data.filter((contact: { permissions: string[] }) =>
      contact.permissions.includes('contacts:manage'),
    );

  test('cannot lose the permission or be deleted', async () => {
    const [last] = await managers();
    const lost = await own.adminFetch(`/contacts/${last.id}`, { method: 'PATCH', body: { permissions: [] } });
    expect([lost.status, lost.json.code]).toEqual([409, 'last_contacts_manager']);
    const gone = await own.adminFetch(`/contacts/${last.id}`, { method: 'DELETE' });
    expect([gone.status, gone.json.code]).toEqual([409, 'last_contacts_manager']);
    expect(await managers()).toHaveLength(1);
  });

  test('is kept even if another contact has the permission but no operator token', async () => {
    const [last] = await managers();
    const body = { name: 'Without a token', email: 'a@example.com', permissions };
    const { json: other } = await own.adminFetch('/contacts', { method: 'POST', body });
    const asks = [
      own.adminFetch(`/contacts/${last.id}`, { method: 'PATCH', body: { permissions: [] } }),
      own.adminFetch(`/contacts/${last.id}`, { method: 'DELETE' }),
      own.adminFetch(`/contacts/${last.id}/operator-token`, { method: 'DELETE' }),
    ];
    for (const { status, json } of await Promise.all(asks)) {
      expect([status, json.code]).toEqual([409, 'last_contacts_manager']);
    }
    expect((await own.adminFetch(`/contacts/${other.id}`, { method: 'DELETE' })).status).toBe(204);
  });

  test.each(['PATCH', 'DELETE'])(
    'is kept when two operators remove each other concurrently with %s',
    async (method) => {
      const second = await own.operator();
      const [first] = (await managers()).filter(({ id }: { id: string }) => id !== second.id);
      const body = method === 'PATCH' ? { permissions: ['integrations:view'] } : undefined;
      const answers = await Promise.all([
        own.adminFetch(`/contacts/${first.id}`, { method, body, token: second.token }),
        own.adminFetch(`/contacts/${second.id}`, { method, body }),
      ]);
      expect(answers.filter(({ status }) => status < 300)).toHaveLength(1);
      const rows = await own.core.database.query(`SELECT 1 FROM contacts WHERE 'contacts:manage' = ANY (permissions)`);
      expect(rows).toHaveLength(1);
    },
  );
});
