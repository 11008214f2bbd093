import { type ConsoleServer, startConsole } from './console-server.ts';

let server: ConsoleServer;
let token: string;
let cookie: string;

beforeAll(async () => {
  server = await startConsole();
  token = await server.operatorToken();
  cookie = await server.signIn(token);
  await post('/clients', {
    name: 'API',
    kind: 'resource_server',
    resource: 'https://api.example',
    information: ['orders'],
  });
});
afterAll(() => server?.close());

const post = async (path: string, body: object) => (await server.adminFetch(path, { method: 'POST', body })).json;
const show = async (path: string) => (await server.adminFetch(path)).json;

/** Saves an edit form. @returns the cookies and the page that follows. */
async function save(page: string, form: Record<string, string>) {
  const [, revision = ''] =
    /name="revision" value="([^"]*)"/.exec((await server.look(`${page}/edit`, cookie)).text) ?? [];
  const saved = await server.send(`${page}/edit`, { revision, ...form }, cookie);
  expect([saved.status, saved.text]).toEqual([303, '']);
  const message = saved.headers.getSetCookie().map((each) => each.split(';', 1)[0]);
  return await server.look(page, [cookie, ...message].join('; '));
}

const editIn = (text: string) => /name="edit" value="([^"]*)"/.exec(text)?.[1];
const undo = (edit: string | undefined, as = cookie) => server.send('/console/undo-edit', { edit: edit ?? '' }, as);

it('undoes a saved edit of a client from the message, with everything as before', async () => {
  const fields = { scope: 'orders:read orders:create', description: 'Old', labels: { team: 'a' } };
  const { client_id: id } = await post('/clients', { name: 'Sync', kind: 'integration', ...fields });
  const before = await show(`/clients/${id}`);
  const page = await save(`/console/clients/${id}`, {
    name: 'Sync 2',
    permission: 'orders:read',
    access_key: 'required',
    allowed_networks: '203.0.113.0/24\n2001:db8::/48',
    network_mode: 'watch',
  });
  expect(page.text).toContain('Undo the edit');
  expect(await show(`/clients/${id}`)).toMatchObject({
    name: 'Sync 2',
    scope: 'orders:read',
    access_key: 'required',
    allowed_networks: ['203.0.113.0/24', '2001:db8::/48'],
    network_mode: 'watch',
  });
  expect((await undo(editIn(page.text))).status).toBe(303);
  const volatile = { revision: 0, updated_at: '' };
  expect({ ...(await show(`/clients/${id}`)), ...volatile }).toEqual({ ...before, ...volatile });
});

it('undoes edits of contacts, organizations and access keys', async () => {
  const contact = await post('/contacts', { name: 'Ann', email: 'ann@example.com' });
  const organization = await post('/organizations', { name: 'Acme' });
  const key = await post(`/contacts/${contact.id}/access-keys`, { name: 'Key', permissions: { orders: ['read'] } });
  const edits = [
    [`/contacts/${contact.id}`, { name: 'Bea', email: 'ann@example.com' }],
    [`/organizations/${organization.id}`, { name: 'Acme 2', reveal: 'on' }],
    [`/access-keys/${key.id}`, { name: 'Key 2', permission: 'orders:read' }],
  ] as const;
  for (const [path, form] of edits) {
    const { name } = await show(path);
    const page = path.startsWith('/access-keys') ? await saveKey(path, form) : await save(`/console${path}`, form);
    expect((await show(path)).name).toBe(form.name);
    expect((await undo(editIn(page.text))).status).toBe(303);
    expect((await show(path)).name).toBe(name);
  }
});

/** An access key is edited on its own page. */
async function saveKey(path: string, form: Record<string, string>) {
  const page = `/console${path}`;
  const [, revision = ''] = /name="revision" value="([^"]*)"/.exec((await server.look(page, cookie)).text) ?? [];
  const saved = await server.send(page, { revision, ...form }, cookie);
  const message = saved.headers.getSetCookie().map((each) => each.split(';', 1)[0]);
  return await server.look(page, [cookie, ...message].join('; '));
}

it('undoes nothing once something else has changed it, and nothing in another session', async () => {
  const { client_id: id } = await post('/clients', { name: 'First', kind: 'integration', scope: 'orders:read' });
  const form = { name: 'Second', permission: 'orders:read', access_key: 'optional' };
  const edit = editIn((await save(`/console/clients/${id}`, form)).text);
  const other = await server.signIn(token);
  expect((await undo(edit, other)).status).toBe(409);
  await server.adminFetch(`/clients/${id}`, { method: 'PATCH', body: { description: 'Meanwhile' } });
  const refused = await undo(edit);
  expect([refused.status, refused.text.includes('The edit was not undone')]).toEqual([412, true]);
  expect(await show(`/clients/${id}`)).toMatchObject({ name: 'Second', description: 'Meanwhile' });
});

it('offers no undo for an edit that changed nothing', async () => {
  const { client_id: id } = await post('/clients', { name: 'Same', kind: 'integration', scope: 'orders:read' });
  const page = await save(`/console/clients/${id}`, {
    name: 'Same',
    permission: 'orders:read',
    access_key: 'optional',
  });
  expect([page.text.includes('Saved.'), editIn(page.text)]).toEqual([true, undefined]);
});

it('fills in the networks that were seen, to be watched first, and undoes the networks of an operator token', async () => {
  const operator = await server.operator();
  const body = { name: 'Pipeline', contact_id: operator.id, permissions: ['integrations:view'] };
  const made = await post('/operator-tokens', body);
  await server.adminFetch('/me', { token: made.operator_token });
  const page = `/console/operator-tokens/${made.id}/networks`;
  const filled = await server.send(page, { allowed_networks: '', propose: 'on' }, cookie);
  expect(filled.text).toContain('>127.0.0.0/24</textarea>');
  expect(filled.text).toMatch(/value="watch"[^>]*checked/);
  const networks = { allowed_networks: '127.0.0.0/24', network_mode: 'watch' };
  const saved = await server.send(page, networks, cookie);
  expect(saved.status).toBe(303);
  const shown = async () => {
    const { data } = await show(`/operator-tokens?contact_id=${operator.id}`);
    return [data[0].allowed_networks, data[0].network_mode];
  };
  expect(await shown()).toEqual([['127.0.0.0/24'], 'watch']);
  const message = saved.headers.getSetCookie().map((each) => each.split(';', 1)[0]);
  const next = await server.look('/console/operator-tokens', [cookie, ...message].join('; '));
  expect((await undo(editIn(next.text))).status).toBe(303);
  expect(await shown()).toEqual([null, 'enforce']);
});
