import { endpointsOf } from '../oauth/fixture.ts';
import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';

let server: ConsoleServer;
let cookie: string;
let client: { client_id: string; client_secret: string };
let key: { id: string; access_key: string };
let contact: { id: string };
let organization: { id: string };

beforeAll(async () => {
  server = await startConsole();
  cookie = await server.signIn((await server.operator()).token);
  const post = async (path: string, body: unknown) => (await server.adminFetch(path, { method: 'POST', body })).json;
  client = await post('/clients', { name: 'Order sync', kind: 'integration' });
  contact = await post('/contacts', { name: 'Acme', email: 'it@partner.example', external_id: 'CRM-4711' });
  organization = await post('/organizations', { name: 'Globex North', external_id: 'ORG-7' });
  key = await post(`/contacts/${contact.id}/access-keys`, { name: 'Warehouse', permissions: {} });
  await endpointsOf(server.publicUrl).token({ id: client.client_id, secret: client.client_secret });
  await server.core.usage.flush();
});
afterAll(() => server.close());

const found = async (q: string) => {
  const { json } = await server.adminFetch(`/search?${new URLSearchParams({ q })}`);
  return (json.data as { id: string }[]).map(({ id }) => id);
};

it.each<[string, () => string, () => string]>([
  ['the beginning of a word of its name', () => 'SYN', () => client.client_id],
  ['the name of an organization', () => 'globex', () => organization.id],
  ['the external ID of an organization', () => 'ORG-7', () => organization.id],
  ['a Client ID in another case', () => client.client_id.toUpperCase(), () => client.client_id],
  ['the beginning of a Client ID', () => client.client_id.slice(0, 12), () => client.client_id],
  ['the beginning of a Client ID without its prefix', () => client.client_id.slice(4, 12), () => client.client_id],
  ['the end of a Client ID in another case', () => client.client_id.slice(-7).toLowerCase(), () => client.client_id],
  ['the last four characters of a secret', () => client.client_secret.slice(-4), () => client.client_id],
  ['the last four characters as lists show them', () => `…${client.client_secret.slice(-4)}`, () => client.client_id],
  ['the last four characters of an access key', () => key.access_key.slice(-4), () => key.id],
  ['the name of the contact of an access key', () => 'acme', () => key.id],
  ['an e-mail address', () => 'it@partner.example', () => contact.id],
  ['an external ID', () => 'CRM-4711', () => contact.id],
  ['the address of a source', () => '127.0.0.', () => client.client_id],
])('finds a thing by %s', async (_, q, id) => {
  expect(await found(q())).toContain(id());
});

it('lists a contact before its access keys, so that it is the first result of its name', async () => {
  expect(await found('acme')).toEqual([contact.id, key.id]);
});

it('finds nothing for a text that nothing matches, and treats wildcards as text', async () => {
  expect(await found('nobody-has-this')).toEqual([]);
  expect(await found('%%%')).toEqual([]);
  expect(await found('____')).toEqual([]);
});

it('lists what was found by kind, with counts, on a page that works without scripts', async () => {
  const { text } = await server.look('/console/search?q=acme', cookie);
  expect(text).toContain(`<a class="strong" href="/console/contacts/${contact.id}">Acme</a>`);
  expect(text).toContain(`<a class="strong" href="/console/access-keys/${key.id}">Warehouse</a>`);
  expect(text).toContain('2 found');
});

describeWith('Chromium')('the search field in a browser', () => {
  it('of a list stays on the page while a filter is chosen with the arrow keys, and hides no row while typing', async () => {
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      const [name = '', value = ''] = cookie.split('=');
      await page.context().addCookies([{ name, value, url: server.adminUrl }]);
      await page.goto(`${server.adminUrl}/console/integrations`);
      let loads = 0;
      page.on('request', (request) => {
        if (request.isNavigationRequest()) loads += 1;
      });
      const status = page.getByLabel('Status');
      await status.focus();
      await page.keyboard.press('ArrowDown');
      expect(await status.inputValue()).toBe('enabled');
      await page.getByRole('searchbox', { name: 'Name or Client ID' }).fill('nobody');
      expect(await page.getByRole('link', { name: 'Order sync' }).isVisible()).toBe(true);
      expect(loads).toBe(0);
      await page.keyboard.press('Enter');
      await page.waitForURL(({ searchParams }) => searchParams.get('q') === 'nobody');
      expect(new URL(page.url()).searchParams.get('status')).toBe('enabled');
    } finally {
      await browser.close();
    }
  });

  it('is reached with a key, asks the server while typing, and is operated with arrow keys', async () => {
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      const [name = '', value = ''] = cookie.split('=');
      await page.context().addCookies([{ name, value, url: server.adminUrl }]);
      await page.goto(`${server.adminUrl}/console/system`);
      await page.keyboard.press('/');
      await page.keyboard.type('order');
      await page.locator('.found-now').getByRole('link', { name: 'Order sync' }).waitFor();
      expect(await page.locator('#announcement').textContent()).toBe('1 found');
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.waitForURL(`**/console/clients/${client.client_id}`);
      await page.keyboard.press('Control+k');
      expect(await page.evaluate('document.activeElement.id')).toBe('find');
    } finally {
      await browser.close();
    }
  });
});
