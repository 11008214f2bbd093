import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { launchBrowser } from '../console/console-server.ts';
import { freePort } from '../free-port.ts';
import { describeWith } from '../programs.ts';
import { type PortalServer, startPortal } from './portal-server.ts';

const run = promisify(execFile);

/** The sample host application in examples/portal-host, and the portal that its people use. */
describeWith('Chromium')('the portal in a browser', () => {
  let server: PortalServer;
  let browser: Browser;
  let host: ChildProcess;
  let hostUrl: string;

  beforeAll(async () => {
    server = await startPortal();
    const api = { kind: 'resource_server', resource: 'https://api.example', information: ['orders', 'products'] };
    await server.post('/clients', { name: 'Parcel API', ...api });
    const port = await freePort();
    hostUrl = `http://localhost:${port}`;
    host = spawn(process.execPath, ['examples/portal-host/host.js'], {
      env: {
        PORT: String(port),
        HOST_URL: hostUrl,
        KEYTURN_ADMIN_URL: server.adminUrl,
        KEYTURN_OPERATOR_TOKEN: await server.operatorToken(),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (host.stdout) await once(host.stdout, 'data');
    browser = await launchBrowser();
  });

  afterAll(async () => {
    host?.kill();
    await browser?.close();
    await server?.close();
  });

  const click = (page: Page, name: string) => page.getByRole('button', { name, exact: true }).first().click();
  const follow = (page: Page, name: string) => page.getByRole('link', { name, exact: true }).first().click();

  /** Signs in to the host application and opens Settings → Integrations. */
  async function enter(page: Page, person: string): Promise<void> {
    await page.goto(hostUrl);
    await click(page, `Sign in as ${person}`);
    await follow(page, 'Integrations');
  }

  async function token(clientId: string, secret: string): Promise<Record<string, unknown>> {
    const form = ['-d', 'grant_type=client_credentials', '-d', 'scope=orders:read'];
    const { stdout } = await run('curl', [
      '-sS',
      '-u',
      `${clientId}:${secret}`,
      ...form,
      `${server.publicUrl}/oauth2/token`,
    ]);
    return JSON.parse(stdout);
  }

  const textOf = async (page: Page, id: string) => (await page.locator(`#${id}`).textContent()) ?? '';

  it('lets a customer’s person generate, get a token with curl, rotate, see who has moved, and return', async () => {
    const page = await (await browser.newContext()).newPage();
    await enter(page, 'Ann Lee');
    await page.waitForURL(`${new URL(server.core.config.portalUrl ?? '').origin}/portal/`);
    expect(await page.title()).toContain('Parcel Cloud');
    await page.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'Integrations' }).click();
    await page.locator('a[href$="/portal/integrations/new"]').first().click();
    await page.getByLabel('Name', { exact: true }).fill('Order sync');
    await page.getByLabel('orders: read').check();
    await click(page, 'Review');
    await page.locator('main form button.primary').click();
    const [clientId, secret] = [await textOf(page, 'client-id'), await textOf(page, 'client-secret')];
    expect(await token(clientId, secret)).toMatchObject({ token_type: 'Bearer', scope: 'orders:read' });
    await server.core.usage.flush();
    await page.locator(`a[href$="/portal/clients/${clientId}"]`).first().click();
    await page.locator('a[href$="/regenerate"]').first().click();
    await page.locator('main form button.danger, main form button.primary').first().click();
    const next = await textOf(page, 'client-secret');
    expect(next).not.toBe(secret);
    expect(await token(clientId, secret)).toHaveProperty('access_token');
    expect(await token(clientId, next)).toHaveProperty('access_token');
    await server.core.usage.flush();
    await page.goto(`${server.core.config.portalUrl}/portal/clients/${clientId}`);
    expect(await page.locator('main').textContent()).toMatch(/curl\//);
    await follow(page, '← Back to Parcel Cloud');
    expect(page.url()).toBe(`${hostUrl}/settings`);
  });

  it('is used in German by a person whose browser prefers it', async () => {
    const page = await (await browser.newContext({ locale: 'de-DE' })).newPage();
    const heading = (name: string | RegExp) => page.getByRole('heading', { level: 1, name }).waitFor();
    await enter(page, 'Ann Lee');
    await heading('Start');
    await page.getByRole('navigation', { name: 'Bereiche' }).getByRole('link', { name: 'Integrationen' }).click();
    await follow(page, 'Client-ID und Secret generieren');
    await page.getByLabel('Name', { exact: true }).fill('Lager');
    await click(page, 'Überprüfen');
    await page.getByText('Es wurde noch nichts geändert.').waitFor();
    await click(page, 'Client-ID und Secret generieren');
    await heading('Client-ID und Secret');
    await follow(page, 'Zu Lager');
    await follow(page, 'Neu generieren…');
    await click(page, 'Neu generieren');
    await heading('Neues Secret');
    await follow(page, 'Zu Lager');
    await follow(page, 'Schonfrist jetzt beenden');
    await click(page, 'Schonfrist jetzt beenden');
    await page.getByText('Die Schonfrist ist beendet.').waitFor();
    await follow(page, '← Zurück zu Parcel Cloud');
    expect(page.url()).toBe(`${hostUrl}/settings`);
  });

  it('works without scripts', async () => {
    const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
    await enter(page, 'Cleo Ray');
    expect(await page.locator('h1').textContent()).toBe('Continue as Cleo Ray');
    await click(page, 'Continue');
    expect(new URL(page.url()).pathname).toBe('/portal/');
    await page.goto(`${server.core.config.portalUrl}/portal/integrations/new`);
    await page.getByLabel('Name', { exact: true }).fill('Without scripts');
    await click(page, 'Review');
    await page.locator('main form button.primary').click();
    expect(await textOf(page, 'client-secret')).toMatch(/^kts_/);
    expect(await page.locator('main').textContent()).not.toContain('Order sync');
    await click(page, 'Sign out');
    expect(await page.locator('h1').textContent()).toBe('You are not signed in');
  });

  it('is used by keyboard alone', async () => {
    const page = await (await browser.newContext()).newPage();
    await enter(page, 'Ann Lee');
    await page.waitForURL('**/portal/');
    const press = async (name: string) => {
      for (let tabs = 0; tabs < 60; tabs++) {
        await page.keyboard.press('Tab');
        const at = await page.evaluate<string>(
          'document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent',
        );
        if (at.trim() !== name) continue;
        expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).not.toBe('none');
        return await page.keyboard.press('Enter');
      }
      throw new Error(`${name} cannot be reached with Tab`);
    };
    await press('Contacts');
    await page.waitForURL('**/portal/contacts');
    await press('New contact');
    await page.waitForURL('**/portal/contacts/new');
    await press('← Back to Parcel Cloud');
    await page.waitForURL(`${hostUrl}/settings`);
  });

  it('shows a person without permissions their own access keys only', async () => {
    const page = await (await browser.newContext()).newPage();
    await enter(page, 'Ben Fox');
    await page.waitForURL('**/portal/access-keys');
    const sections = await page.getByRole('navigation', { name: 'Sections' }).getByRole('link').allInnerTexts();
    expect(sections).toEqual(['Access keys']);
  });
});
