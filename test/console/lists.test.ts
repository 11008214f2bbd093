import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';

let now = Date.now();
let server: ConsoleServer;
let cookie: string;
let contact: { id: string };
let other: { id: string };
const clients: { client_id: string; name: string }[] = [];

beforeAll(async () => {
  server = await startConsole({ clock: () => now });
  cookie = await server.signIn((await server.operator()).token);
  for (let index = 0; index < 60; index++) {
    clients.push(await post('/clients', { name: `Robot ${String(index).padStart(2, '0')}`, kind: 'integration' }));
  }
  contact = await post('/contacts', { name: 'Acme North', email: 'north@acme.example' });
  other = await post('/contacts', { name: 'Acme South', email: 'south@acme.example' });
});
afterAll(() => server.close());

async function post(path: string, body: unknown) {
  now += 1_000;
  const { status, json, text } = await server.adminFetch(path, { method: 'POST', body });
  if (status > 299) throw new Error(`${path}: ${text}`);
  return json;
}

const look = async (path: string) => (await server.look(path, cookie)).text;
const unescaped = (text: string) => text.replaceAll('&amp;', '&').replaceAll('&lt;', '<');
const namesOf = (page: string) => [...page.matchAll(/Robot \d\d(?=<\/a>)/g)].map(([name]) => name);

/** Returns the address of a link of a page by its text. */
function linkOf(page: string, text: string): string | undefined {
  const link = [...page.matchAll(/<a[^>]*href="([^"]*)"[^>]*>([^<]*)<\/a>/g)].find(([, , label]) => label === text);
  return link && unescaped(link[1] ?? '');
}

it('a list goes to the next and the previous page in the chosen order and page size, and says how many there are', async () => {
  const names = clients.map(({ name }) => name);
  const first = await look('/console/integrations?order=name&limit=25');
  expect(namesOf(first)).toEqual(names.slice(0, 25));
  expect(first).toContain('60 found');
  expect(linkOf(first, 'Previous page')).toBeUndefined();
  const second = await look(linkOf(first, 'Next page') ?? '');
  expect(namesOf(second)).toEqual(names.slice(25, 50));
  const third = await look(linkOf(second, 'Next page') ?? '');
  expect(namesOf(third)).toEqual(names.slice(50));
  expect(linkOf(third, 'Next page')).toBeUndefined();
  expect(namesOf(await look(linkOf(third, 'Previous page') ?? ''))).toEqual(names.slice(25, 50));
  expect(namesOf(await look(linkOf(third, 'First page') ?? ''))).toEqual(names.slice(0, 25));
});

it('filters access keys by an integration that is entered by its name, and asks which one is meant', async () => {
  const [one] = clients;
  await post(`/contacts/${contact.id}/access-keys`, { name: 'Only one', permissions: {}, clients: [one?.client_id] });
  await post(`/contacts/${contact.id}/access-keys`, {
    name: 'Another',
    permissions: {},
    clients: [clients[59]?.client_id],
  });
  const list = await look('/console/access-keys?client_id=robot+00');
  expect(list).toContain('Only one');
  expect(list).not.toContain('Another');
  const unclear = await look('/console/access-keys?client_id=robot&status=enabled');
  expect(unclear).toContain('Several match “robot”');
  const chosen = linkOf(unclear, 'Robot 59') ?? '';
  expect(chosen).toContain('status=enabled');
  expect(await look(chosen)).toContain('Another');
});

it('filters the audit log by the names of who acted and of what it was about, and tells events as sentences', async () => {
  const { token } = await server.operator(['audit:view', 'integrations:view', 'integrations:edit']);
  const by = (path: string) => server.adminFetch(path, { method: 'POST', token, body: {} });
  await by(`/clients/${clients[7]?.client_id}/disable`);
  const about = await look('/console/audit?target=robot+07');
  expect(about.replace(/<[^>]+>/g, '')).toMatch(/Operator [\w: ]+ disabled\s+Robot 07/);
  expect(about).not.toContain('Robot 08');
  const actor = await look('/console/audit?actor=Operator+audit%3Aview+integrations%3Aview+integrations%3Aedit');
  expect(actor).toContain('1 found');
  const unclear = await look('/console/audit?target=acme');
  expect(unclear).toContain('contact, south@acme.example');
  expect(linkOf(unclear, 'Acme South')).toBe(`/console/audit?target=${other.id}`);
  expect(await look('/console/audit?target=nobody-has-this')).toContain('No events match');
});

it('shows the latest events about a thing on its page, with links', async () => {
  for (const path of [`/console/clients/${clients[3]?.client_id}`, `/console/contacts/${contact.id}`]) {
    const page = await look(path);
    const history = page.slice(page.indexOf('id="history"'));
    expect(history).toMatch(/(registered|created the contact)/);
    expect(linkOf(history, 'All events')).toContain('/console/audit?target=');
  }
});

it('an access key takes integrations by name, one a line, and says which names match several', async () => {
  const path = `/console/contacts/${contact.id}/access-keys/new`;
  const made = await server.sendAndLook(
    path,
    { name: 'By name', clients: `robot 05\nRobot 06 <${clients[6]?.client_id}>` },
    cookie,
  );
  expect(made.text).toContain('Created.');
  const { json } = await server.adminFetch(`/access-keys?q=${encodeURIComponent('By name')}`);
  expect(json.data[0].clients.toSorted()).toEqual([clients[5]?.client_id, clients[6]?.client_id].toSorted());
  const form = await look(`/console/access-keys/${json.data[0].id}`);
  expect(unescaped(form)).toContain(`Robot 05 <${clients[5]?.client_id}>`);
  const unclear = await server.send(path, { name: 'Unclear', clients: 'robot' }, cookie);
  expect(unclear.status).toBe(400);
  expect(unescaped(unclear.text)).toContain('Several match “robot”');
});

it('shows the last use of an integration also after its usage is no longer kept', async () => {
  const id = clients[8]?.client_id;
  const at = new Date(now - 100 * 86_400_000).toISOString();
  await server.core.database.query('UPDATE clients SET last_used_at = $1 WHERE client_id = $2', [at, id]);
  expect((await server.adminFetch(`/clients/${id}`)).json.last_used_at).toBe(at);
  expect(await look(`/console/integrations?q=${id}`)).toContain('100 days ago');
});

it('shows which permissions of an integration are sensitive, with their descriptions', async () => {
  await post('/clients', {
    name: 'Shop API',
    kind: 'resource_server',
    resource: 'https://api.example.com',
    scopes: [{ name: 'customers.export', description: 'Export all customers', sensitive: true }],
  });
  const { client_id: id } = await post('/clients', { name: 'Export', kind: 'integration', scope: 'customers.export' });
  const page = await look(`/console/clients/${id}`);
  expect(page.slice(page.indexOf('id="settings"'))).toMatch(
    /Export all customers [^/]*customers\.export<\/code> [^/]*sensitive/,
  );
});

it.each([
  ['/console/clients/kti_4fW1mZ8qYc0RkT7pLs2VnB', '/console/integrations'],
  ['/console/contacts/00000000-0000-4000-8000-000000000000', '/console/contacts'],
  ['/console/signing-keys/none/revoke', '/console/signing-keys'],
])('marks the section in the navigation of the error page at %s', async (path, section) => {
  const { status, text } = await server.look(path, cookie);
  expect(status).toBe(404);
  expect(text).toContain(`<a href="${section}" aria-current="page">`);
});

describeWith('Chromium')('lists and pickers in a browser', () => {
  it('suggest things of the server by the keyboard, and keep the focus on the filter that was used', async () => {
    const browser = await launchBrowser();
    try {
      const context = await browser.newContext();
      const [name = '', value = ''] = cookie.split('=');
      await context.addCookies([{ name, value, url: server.adminUrl }]);
      const page = await context.newPage();
      await page.goto(`${server.adminUrl}/console/access-keys`);
      const field = page.getByRole('combobox', { name: 'Works with integration' });
      await field.focus();
      await page.keyboard.type('robot 0');
      await page.getByRole('option', { name: /Robot 01/ }).waitFor();
      await page.keyboard.type('1');
      await page.getByRole('option', { name: /Robot 02/ }).waitFor({ state: 'detached' });
      await page.keyboard.press('ArrowDown');
      expect(await page.locator('.options [aria-selected=true]').count()).toBe(1);
      await page.keyboard.press('Enter');
      expect(await field.inputValue()).toBe(`Robot 01 <${clients[1]?.client_id}>`);
      await page.keyboard.press('Enter');
      await page.waitForURL(/client_id=Robot/);
      expect(await page.evaluate('document.activeElement.id')).toBe('filter-client_id');
      await page.goto(`${server.adminUrl}/console/contacts/${contact.id}/access-keys/new`);
      const lines = page.getByLabel('Allowed integrations');
      await lines.fill('robot 02\n');
      await page.keyboard.type('robot 03');
      await page.getByRole('option', { name: /Robot 03/ }).click();
      expect(await lines.inputValue()).toBe(`robot 02\nRobot 03 <${clients[3]?.client_id}>`);
    } finally {
      await browser.close();
    }
  });
});
