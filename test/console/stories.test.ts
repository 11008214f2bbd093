import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { issueConsoleLink } from '../../src/admin/console/sign-in/prove.ts';
import { type Permission, permissions } from '../../src/contacts/contact.ts';
import { eventuallyIs } from '../eventually.ts';
import { actor, endpointsOf, type TestClient } from '../oauth/fixture.ts';
import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';

/** Typical tasks of operators, performed through visible labels and buttons. */
describeWith('Chromium')('the console in a browser', () => {
  const run = promisify(execFile);
  let server: ConsoleServer;
  let browser: Browser;
  let context: BrowserContext;
  let api: TestClient;

  beforeAll(async () => {
    server = await startConsole({ env: { KEYTURN_ISSUER: 'http://127.0.0.1:4000' } });
    api = await register('Shop API', {
      kind: 'resource_server',
      resource: 'https://api.example.com',
      information: ['orders', 'products'],
    });
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  beforeEach(async () => {
    context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
    context.setDefaultTimeout(60_000);
  });

  afterEach(() => context?.close());

  const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).click();
  const follow = (page: Page, name: string) => page.getByRole('link', { name, exact: true }).click();
  const heading = (page: Page) => page.getByRole('heading', { level: 1 }).textContent();
  const copied = async (page: Page, name: string) => {
    await click(page, name);
    return await page.evaluate<string>('navigator.clipboard.readText()');
  };

  /** Signs in with an operator token through the sign-in form. */
  async function signIn(allowed: readonly Permission[] = permissions): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${server.adminUrl}/console/`);
    await page.getByLabel('Operator token').fill((await server.operator(allowed)).token);
    await click(page, 'Sign in');
    await page.waitForURL(/\/console\/(?!sign-in)/);
    return page;
  }

  async function open(page: Page, section: string): Promise<void> {
    await page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: section }).click();
  }

  async function register(
    name: string,
    more: object = { kind: 'integration', scope: 'orders:read' },
  ): Promise<TestClient> {
    const body = { name, ...more };
    const { json } = await server.adminFetch('/clients', { method: 'POST', body });
    return { id: json.client_id, secret: json.client_secret };
  }

  it('registers a resource server that can introspect tokens', async () => {
    const page = await signIn();
    await open(page, 'Resource servers');
    await follow(page, 'Register a resource server');
    await page.getByLabel('Name', { exact: true }).fill('Stock API');
    await page.getByLabel('Resource identifier').fill('https://stock.example.com');
    await page.getByLabel('Kinds of information').fill('shelves boxes');
    await click(page, 'Review');
    await click(page, 'Generate Client ID and Secret');
    const stock = { id: await copied(page, 'Copy Client ID'), secret: await copied(page, 'Copy Client secret') };
    const { status, json } = await server.adminFetch(`/clients/${stock.id}`);
    expect([status, json.information]).toEqual([200, ['shelves', 'boxes']]);
    expect((await endpointsOf(server.publicUrl).introspect(stock, 'kta_x')).text).toBe('{"active":false}');
  });

  it('generates a client, regenerates its secret, ends the grace period, and shows this in the audit log', async () => {
    const page = await signIn();
    await open(page, 'Integrations');
    await page
      .getByRole('link', { name: /Generate .*Client ID and Secret/ })
      .first()
      .click();
    await page.getByLabel('Name').fill('Order sync');
    await page.getByLabel('orders: read').check();
    await click(page, 'Review');
    expect(await page.getByText('Nothing has been changed yet.').isVisible()).toBe(true);
    await click(page, 'Generate Client ID and Secret');
    const id = await copied(page, 'Copy Client ID');
    const old = { id, secret: await copied(page, 'Copy Client secret') };

    // The copied command works as it is, except for the port, which differs in tests.
    const line = (await copied(page, 'Copy curl command')).replace('http://127.0.0.1:4000', server.publicUrl);
    const { stdout } = await run('sh', ['-c', line]);
    const issued = JSON.parse(stdout);
    expect(issued).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: 'orders:read' });
    const { token, introspect } = endpointsOf(server.publicUrl);
    expect((await introspect(api, issued.access_token)).json).toMatchObject({ active: true, client_id: id });

    expect(await page.locator('#announcement').textContent()).toBe('curl command: copied');
    await follow(page, 'Go to Order sync');
    await eventuallyIs(
      async () => {
        await page.reload();
        return await page.content();
      },
      (text) => text.includes('curl/'),
    );
    await follow(page, 'Regenerate…');
    expect(await page.getByText('1 source uses the secret.').isVisible()).toBe(true);
    // The name is typed only for what cannot be undone.
    const button = page.getByRole('button', { name: 'Regenerate', exact: true });
    const typed = page.getByLabel('Type Order sync to confirm');
    expect([await typed.isVisible(), await button.isDisabled()]).toEqual([false, false]);
    await page.getByLabel('Grace period', { exact: true }).selectOption('0');
    expect([await typed.isVisible(), await button.isDisabled()]).toEqual([true, true]);
    await typed.fill('Order sync');
    expect(await button.isDisabled()).toBe(false);
    await page.getByLabel('Grace period', { exact: true }).selectOption('604800');
    await button.click();
    const fresh = { id, secret: await copied(page, 'Copy Client secret') };
    expect(fresh.secret).not.toBe(old.secret);

    await eventuallyIs(
      () => token(fresh),
      ({ status }) => status === 200,
    );
    const late = await token(old);
    expect(late.status).toBe(200);
    expect(late.headers['sunset']).toBeDefined();

    await follow(page, 'Go to Order sync');
    expect(await page.getByText(/The new secret .* and the previous secret .* both work/).isVisible()).toBe(true);
    await follow(page, 'Extend grace period');
    await page.getByLabel('New end, from now').selectOption('86400');
    await click(page, 'Extend grace period');
    const newEnd = page.getByLabel('New end, from now');
    expect(await newEnd.getAttribute('aria-invalid')).toBe('true');
    expect(await page.getByRole('alert').textContent()).toMatch(/Nothing was changed.\s*New end: Must be after/);
    await page.getByLabel('New end, from now').selectOption('2592000');
    await click(page, 'Extend grace period');
    expect(await page.getByText('The grace period ends later now.').isVisible()).toBe(true);
    await eventuallyIs(
      () => token(old),
      ({ headers }) =>
        Date.parse(String(headers['sunset'])) - Date.parse(String(late.headers['sunset'])) > 20 * 86_400_000,
    );
    await follow(page, 'End grace period now');
    expect(await page.getByText(/2 sources still use the previous secret/).isVisible()).toBe(true);
    await page.getByLabel('Type Order sync to confirm').fill('Order sync');
    await click(page, 'End grace period now');
    expect(await page.getByText('The grace period has ended.').isVisible()).toBe(true);
    await eventuallyIs(
      () => token(old),
      ({ status }) => status === 401,
    );
    expect((await token(fresh)).status).toBe(200);

    await open(page, 'Audit log');
    const log = await page.locator('main').textContent();
    for (const act of ['client.create', 'client.regenerate', 'regeneration.finish']) {
      expect(log).toContain(act.split('.')[1]);
    }
    await click(page, 'Verify audit log');
    expect(await page.getByText('The audit log is intact.').isVisible()).toBe(true);
  });

  it('undoes a regeneration, so that the previous secret is current and the new one is rejected', async () => {
    const client = await register('Undone');
    const page = await signIn();
    await page.goto(`${server.adminUrl}/console/clients/${client.id}/regenerate`);
    await click(page, 'Regenerate');
    const fresh = { id: client.id, secret: await copied(page, 'Copy Client secret') };
    await follow(page, 'Undo rotation…');
    await click(page, 'Undo rotation');
    expect(await page.getByText('Rotation undone. The previous value is the current one again').isVisible()).toBe(true);
    const { token } = endpointsOf(server.publicUrl);
    await eventuallyIs(
      () => token(fresh),
      ({ status }) => status === 401,
    );
    expect((await token(client)).headers['sunset']).toBeUndefined();
  });

  it('reveals a secret and records it in the audit log', async () => {
    const client = await register('Forgotten');
    const page = await signIn();
    await open(page, 'Integrations');
    await page.getByRole('searchbox', { name: 'Name or Client ID' }).fill('Forgotten');
    await click(page, 'Search');
    await follow(page, 'Forgotten');
    await click(page, 'Show secret');
    expect(await copied(page, 'Copy Client secret')).toBe(client.secret);
    const { json } = await server.adminFetch(`/audit-events?target=${client.id}`);
    expect(json.data[0].action).toMatch(/reveal/);
  });

  it('issues an API authorization token, counts down its lifetime, and replaces it', async () => {
    const client = await register('Tried by hand');
    const page = await signIn();
    await page.goto(`${server.adminUrl}/console/clients/${client.id}`);
    await click(page, 'Issue token');
    const first = await copied(page, 'Copy Access token');
    const { introspect } = endpointsOf(server.publicUrl);
    expect((await introspect(api, first)).json).toMatchObject({ active: true, client_id: client.id });
    await page.goto(`${server.adminUrl}/console/clients/${client.id}`);
    const clock = page.locator('[data-ends]').first();
    const before = await clock.textContent();
    expect(before).toMatch(/^59 min \d\d s$/);
    await eventuallyIs(
      () => clock.textContent(),
      (text) => text !== before,
    );
    await click(page, 'Issue new token');
    const second = await copied(page, 'Copy Access token');
    await eventuallyIs(
      () => introspect(api, first),
      ({ text }) => text === '{"active":false}',
    );
    expect((await introspect(api, second)).json['active']).toBe(true);
  });

  it('disables, enables and deletes a client', async () => {
    const client = await register('Stopped');
    const { token } = endpointsOf(server.publicUrl);
    const page = await signIn();
    await page.goto(`${server.adminUrl}/console/clients/${client.id}`);
    await follow(page, 'Disable…');
    await click(page, 'Disable');
    await eventuallyIs(
      () => token(client),
      ({ status }) => status === 401,
    );
    await click(page, 'Enable again');
    await eventuallyIs(
      () => token(client),
      ({ status }) => status === 200,
    );
    await follow(page, 'Disable…');
    await click(page, 'Disable');
    await follow(page, 'Delete…');
    await page.getByLabel('Type Stopped to confirm').fill('Stopped');
    await click(page, 'Delete');
    expect((await server.adminFetch(`/clients/${client.id}`)).status).toBe(404);
  });

  it('creates, changes, regenerates and disables an access key, and removes an unused one', async () => {
    const client = await register('With a key', { kind: 'integration', scope: 'orders:read products:read' });
    const { token } = endpointsOf(server.publicUrl);
    const page = await signIn();
    await open(page, 'Contacts');
    await follow(page, 'New contact');
    await page.getByLabel('Name').fill('Partner Ltd');
    await page.getByLabel('E-mail').fill('it@partner.example');
    await page.locator('main').getByRole('button').last().click();
    expect(await heading(page)).toBe('Partner Ltd');
    const contactPage = page.url();

    const create = async (name: string) => {
      await page.goto(`${contactPage.replace(/\?.*/, '')}/access-keys/new`);
      await page.getByLabel('Name').fill(name);
      await page.getByLabel('orders: read').check();
      await click(page, 'Create Key');
      return await copied(page, 'Copy Access key');
    };
    await create('Spare');
    const key = await create('Warehouse');
    expect((await token(client, { access_key: key })).json).toMatchObject({ scope: 'orders:read' });

    await open(page, 'Access keys');
    await follow(page, 'Warehouse');
    expect(await page.getByRole('button', { name: 'Remove Key' }).isDisabled()).toBe(true);
    expect(await page.getByText(/A key that was used cannot be removed, .* Disable it instead/).isVisible()).toBe(true);
    await page.getByLabel('orders: read').uncheck();
    await page.getByLabel('products: read').check();
    await click(page, 'Save Key');
    expect(await page.getByText('Saved.').isVisible()).toBe(true);
    await eventuallyIs(
      () => token(client, { access_key: key, scope: 'orders:read' }),
      ({ status }) => status === 400,
    );

    await follow(page, 'Generate New Key…');
    await click(page, 'Regenerate');
    const turned = await copied(page, 'Copy Access key');
    expect(turned).not.toBe(key);
    await eventuallyIs(
      () => token(client, { access_key: turned }),
      ({ status }) => status === 200,
    );
    expect((await token(client, { access_key: key })).status).toBe(200);

    await open(page, 'Access keys');
    await follow(page, 'Warehouse');
    await follow(page, 'Disable Key…');
    await click(page, 'Disable Key');
    await eventuallyIs(
      () => token(client, { access_key: turned }),
      ({ status }) => status === 400,
    );

    await open(page, 'Access keys');
    await follow(page, 'Spare');
    await follow(page, 'Remove Key…');
    await click(page, 'Remove Key');
    expect(await page.getByText('Removed.').isVisible()).toBe(true);
  });

  it('signs in with a link from the command line, without an operator token', async () => {
    const { id } = await server.operator();
    const path = await server.core.change((transaction) => issueConsoleLink(transaction, server.core, actor, id));
    const page = await context.newPage();
    await page.goto(server.adminUrl + path);
    await click(page, 'Sign in');
    expect(await heading(page)).toBe('Home');
    await click(page, 'Sign out');
    expect(await heading(page)).toBe('Sign in');
    await page.goto(`${server.adminUrl}/console/integrations`);
    expect(await heading(page)).toBe('Sign in');
  });

  it('creates one client for a double click and for a form that is sent again', async () => {
    const page = await signIn();
    await page.goto(`${server.adminUrl}/console/integrations/new`);
    await page.getByLabel('Name').fill('Twice');
    await click(page, 'Review');
    const sent = await page.evaluate<Record<string, string>>(
      `Object.fromEntries(new FormData(document.querySelector('form[action="/console/integrations"]')))`,
    );
    await page.getByRole('button', { name: 'Generate Client ID and Secret' }).dblclick();
    const secret = await copied(page, 'Copy Client secret');

    // Send the form again, as after a lost response. The response is the same, and only one client exists.
    const cookies = await context.cookies();
    const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ');
    const again = await server.sendAndLook('/console/integrations', sent, cookie);
    expect(again.text).toContain(secret);
    expect((await server.adminFetch('/clients?q=Twice')).json.data).toHaveLength(1);
  });

  it('tells that a client was changed by someone else, and does not overwrite the change', async () => {
    const client = await register('Raced');
    const page = await signIn();
    await page.goto(`${server.adminUrl}/console/clients/${client.id}/edit`);
    await server.adminFetch(`/clients/${client.id}`, { method: 'PATCH', body: { name: 'Raced by another' } });
    await page.getByLabel('Name').fill('Raced by me');
    await page.locator('main').getByRole('button').first().click();
    expect((await page.locator('main').textContent())?.toLowerCase()).toMatch(/meanwhile|faster|changed/);
    expect((await server.adminFetch(`/clients/${client.id}`)).json.name).toBe('Raced by another');
  });

  it.each<[string, readonly Permission[], readonly string[], readonly string[]]>([
    [
      'only views',
      ['integrations:view'],
      [
        'Home',
        'Integrations',
        'Access keys',
        'Contacts',
        'Organizations',
        'Posture',
        'Resource servers',
        'Signing keys',
        'Workload identities',
        'Webhooks',
        'Operator tokens',
        'Explain',
        'System',
      ],
      [],
    ],
    ['edits', ['integrations:view', 'integrations:edit'], [], ['Edit', 'Disable…']],
    [
      'manages keys',
      ['integrations:view', 'api_key:manage'],
      [],
      ['Regenerate…', 'Show secret', 'Issue token', 'Revoke all tokens…'],
    ],
    ['audits', ['audit:view'], ['Audit log', 'Operator tokens'], []],
    [
      'manages contacts',
      ['contacts:manage'],
      ['Contacts', 'Organizations', 'Sign-in', 'Approvals', 'Operator tokens'],
      [],
    ],
  ])('offers an operator who %s only permitted sections and actions', async (_, allowed, sections, acts) => {
    const client = await register(`Offered ${allowed.join(' ')}`);
    const page = await signIn(allowed);
    const links = page.getByRole('navigation', { name: 'Sections' }).getByRole('link');
    if (sections.length > 0) expect(await links.allTextContents()).toEqual(sections);
    await page.goto(`${server.adminUrl}/console/clients/${client.id}`);
    if (!allowed.includes('integrations:view')) {
      expect(await heading(page)).toBe('Permission denied');
      return;
    }
    const all = ['Edit', 'Disable…', 'Regenerate…', 'Show secret', 'Issue token', 'Revoke all tokens…'];
    const main = page.locator('main');
    const offered = await main.locator('a.button, button:visible').allTextContents();
    expect(all.filter((act) => offered.map((text) => text.trim()).includes(act)).toSorted()).toEqual(
      [...acts].toSorted(),
    );
  });

  it('shows times in the time zone of the viewer, permissions as sentences, and values of the chart by keyboard', async () => {
    const client = await register('Charted', { kind: 'integration', scope: 'orders:read orders:create' });
    await endpointsOf(server.publicUrl).accessToken(client);
    const { confirmation } = (
      await server.adminFetch(`/clients/${client.id}/regeneration/review`, { method: 'POST', body: {} })
    ).json;
    const rotated = { method: 'POST', body: { confirmation } };
    const { previous } = (await server.adminFetch(`/clients/${client.id}/regenerate`, rotated)).json;
    const kolkata = await browser.newContext({ timezoneId: 'Asia/Kolkata', viewport: { width: 390, height: 800 } });
    try {
      const page = await kolkata.newPage();
      await page.goto(`${server.adminUrl}/console/sign-in?next=/console/clients/${client.id}`);
      await page.getByLabel('Operator token').fill((await server.operator()).token);
      await click(page, 'Sign in');
      const end = page.locator('time[data-exact]').first();
      const local = new Date(Date.parse(previous.retires_at) + 5.5 * 3_600_000).toISOString().slice(0, 16);
      // The script of the page writes it once it has run.
      await end.filter({ hasText: 'GMT' }).waitFor();
      expect(await end.textContent()).toBe(`${local.replace('T', ' ')} GMT+5:30`);
      expect(await end.getAttribute('title')).toBe(`${previous.retires_at.slice(0, 16).replace('T', ' ')} UTC`);
      expect(await page.getByText('Create and read orders').or(page.getByText('Read and create orders')).count()).toBe(
        1,
      );

      const chart = page.locator('.chart .bars');
      expect(await chart.locator('.mark').count()).toBe(1);
      await chart.focus();
      const values = page.locator('.chart .values');
      expect(await values.textContent()).toMatch(/^20.*GMT\+5:30: /);
      expect(await chart.locator('[data-values$=" 1"]').count()).toBe(1);
      await page.keyboard.press('Home');
      expect(await values.textContent()).toMatch(/: no requests$/);

      await page.goto(`${server.adminUrl}/console/system`);
      const section = page.locator('.sections [aria-current]');
      const box = await section.boundingBox();
      // The browser rounds scroll positions.
      expect(box && box.x > -1 && box.x + box.width < 391).toBe(true);
    } finally {
      await kolkata.close();
    }
  });

  it('works without JavaScript', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false });
    try {
      const page = await plain.newPage();
      await page.goto(`${server.adminUrl}/console/`);
      await page.getByLabel('Operator token').fill((await server.operator()).token);
      await click(page, 'Sign in');
      await page.goto(`${server.adminUrl}/console/integrations/new`);
      await page.getByLabel('Name').fill('Without a script');
      await click(page, 'Review');
      await click(page, 'Generate Client ID and Secret');
      const secret = await page.locator('#client-secret').textContent();
      await follow(page, 'Go to Without a script');
      await follow(page, 'Regenerate…');
      await click(page, 'Regenerate');
      expect(await page.locator('#client-secret').textContent()).not.toBe(secret);
    } finally {
      await plain.close();
    }
  });
});
