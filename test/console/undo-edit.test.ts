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
  });
  expect(page.text).toContain('Undo the edit');
  expect(await show(`/clients/${id}`)).toMatchObject({ name: 'Sync 2', scope: 'orders:read', access_key: 'required' });
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
