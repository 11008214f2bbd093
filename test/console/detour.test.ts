import { type ConsoleServer, startConsole } from './console-server.ts';

// Each reading of the clock is later than the one before.
let now = Date.now();
let server: ConsoleServer;
let cookie: string;

beforeAll(async () => {
  server = await startConsole({ clock: () => ++now });
  cookie = await server.signIn((await server.operator()).token);
});
afterAll(() => server.close());

const entered = {
  name: 'Order & “sync”',
  description: 'Copies orders.\nEvery night.',
  labels: 'team=logistics',
  access_key: 'required',
};

/** Returns the fields of the form of a page that is sent to this path. */
function fieldsOf(page: string, path: string): Record<string, string> {
  const form = page.split('<form').find((part) => part.includes(`action="${path}"`)) ?? '';
  const decode = (text: string) =>
    text
      .replace(/&quot;/g, '"')
      .replace(/&lt;/g, '<')
      .replace(/&amp;/g, '&');
  const fields = [...form.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)];
  return Object.fromEntries(fields.map(([, name = '', value = '']) => [name, decode(value)]));
}

it('returns to what was entered for an integration, after the resource server that it needs was registered', async () => {
  const form = (await server.look('/console/integrations/new', cookie)).text;
  expect(form).toContain('name="detour_return" value="/console/integrations/new"');
  const begun = await server.send(
    '/console/resource-servers/new',
    { ...entered, detour_return: '/console/integrations/new' },
    cookie,
  );
  expect(begun.text).not.toContain('Order &amp; “sync”"');
  const carried = fieldsOf(begun.text, '/console/resource-servers/review');
  const api = { name: 'Shop API', resource: 'https://api.example.com', information: 'orders' };
  const review = await server.send('/console/resource-servers/review', { ...api, ...carried }, cookie);
  const confirmed = fieldsOf(review.text, '/console/resource-servers');
  const made = await server.sendAndLook('/console/resource-servers', confirmed, cookie);
  expect(made.text).toContain('Continue with what you entered before');
  const kept = fieldsOf(made.text, '/console/integrations/new');
  expect(kept).toMatchObject(entered);
  const back = (await server.send('/console/integrations/new', kept, cookie)).text;
  expect(back).toContain('value="Order &amp; “sync”"');
  expect(back).toContain('Copies orders.\nEvery night.');
  expect(back).toContain('value="orders:read"');
});

it('offers no way back to any other page', async () => {
  const fields = { name: 'Stock API', resource: 'https://stock.example.com', once: crypto.randomUUID() };
  for (const path of ['https://elsewhere.example/', '/console/clients/kti_x/delete', '//elsewhere.example/console/']) {
    const form = { ...fields, detour_return: path, detour_kept: 'name=x' };
    const made = await server.sendAndLook('/console/resource-servers', form, cookie);
    expect(made.text).toContain('Generated.');
    expect(made.text).not.toContain('Continue with what');
  }
});

it('enables the access keys again that one act has disabled, and no others', async () => {
  const post = async (path: string, body: unknown = {}) =>
    (await server.adminFetch(path, { method: 'POST', body })).json;
  const contact = await post('/contacts', { name: 'Partner', email: 'it@partner.example' });
  const keys = [];
  for (const name of ['One', 'Two', 'Before']) {
    keys.push(await post(`/contacts/${contact.id}/access-keys`, { name, permissions: {} }));
  }
  await post(`/access-keys/${keys[2].id}/disable`);
  const path = `/console/contacts/${contact.id}/disable-access-keys`;
  const disabled = await server.sendAndLook(path, {}, cookie);
  expect(disabled.text).toContain(`action="${path}/undo"`);
  const enabled = await server.sendAndLook(`${path}/undo`, {}, cookie);
  expect(enabled.text).toContain('Enabled the access keys again.');
  const { json } = await server.adminFetch(`/access-keys?contact_id=${contact.id}&order=name`);
  expect(json.data.map(({ name, status }: Record<string, string>) => [name, status])).toEqual([
    ['Before', 'disabled'],
    ['One', 'enabled'],
    ['Two', 'enabled'],
  ]);
});

it.each([
  ['/clients', { name: '', kind: 'integration' }, 'name', 'must not be empty'],
  ['/clients', { kind: 'integration' }, 'name', 'is required'],
  ['/clients', { name: 'x', kind: 'program' }, 'kind', 'must be one of integration, resource_server'],
  ['/clients', { name: 'x', kind: 'integration', access_token_ttl: 5 }, 'access_token_ttl', 'must be at least 60'],
  ['/clients', { name: 7, kind: 'integration' }, 'name', 'must be text'],
  ['/contacts', { name: 'x', email: 'nobody' }, 'email', 'must be an e-mail address, such as ann@example.com'],
])('rejects a value of %s in words: %j', async (path, body, field, message) => {
  const { status, json } = await server.adminFetch(path, { method: 'POST', body });
  expect([status, json.issues]).toEqual([400, [{ path: field, message }]]);
});
