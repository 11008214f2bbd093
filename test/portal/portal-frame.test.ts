import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Browser, Page } from 'playwright-core';
import { permissions } from '../../src/contacts/contact.ts';
import { makeCertificate } from '../certificates.ts';
import { launchBrowser } from '../console/console-server.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { describeWith } from '../programs.ts';
import { type PortalServer, startPortal } from './portal-server.ts';

let server: PortalServer;
let browser: Browser;
let front: Server;
let port: number;
let organization: string;
/** The address of the frame in the pages of host products. */
let framed = 'about:blank';
let time = Date.now();
/** Errors of scripts. */
const errors: string[] = [];

const host = (name: string) => `https://${name}.localhost:${port}`;

/** Ends TLS in front of the portal, and serves the pages of host products, which are other sites for a browser. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.host !== `localhost:${port}`) {
    response.writeHead(200, { 'content-type': 'text/html', 'x-frame-options': 'DENY' });
    response.end(`<h1>Settings</h1><iframe src="${framed}" width="1000" height="900"></iframe>`);
    return;
  }
  const { method, url, headers } = request;
  const target = new URL(server.portalUrl);
  const upstream = forward({ host: target.hostname, port: target.port, method, path: url, headers }, (answered) => {
    response.writeHead(answered.statusCode ?? 502, answered.headers);
    answered.pipe(response);
  });
  upstream.on('error', () => response.destroy());
  request.pipe(upstream);
}

/** The portal behind TLS, in pages of https://parcel.localhost, which is listed, and of others. */
describeWith('Chromium')('the portal in a frame of a browser', () => {
  beforeAll(async () => {
    port = await freePort();
    const { cert, key } = makeCertificate({ dns: ['localhost', '*.localhost'] });
    front = createServer({ cert, key }, answer).listen(port, '127.0.0.1');
    await once(front, 'listening');
    server = await startPortal({ clock: () => time, env: { KEYTURN_PORTAL_URL: `https://localhost:${port}` } });
    const portal = {
      name: 'Parcel Cloud',
      frame_origins: [host('parcel')],
      return_url: `${host('parcel')}/settings`,
    };
    const deployment = '/organizations/00000000-0000-8000-8000-000000000001';
    expect((await server.adminFetch(deployment, { method: 'PATCH', body: { portal } })).status).toBe(200);
    organization = (await server.post('/organizations', { name: 'Acme' })).id;
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    front?.closeAllConnections();
    front?.close();
    await server?.close();
  });

  afterEach(() => expect(errors).toEqual([]));

  const newLink = (email = `${randomUUID()}@acme.example`) =>
    server.link({ organization_id: organization, email, name: 'Ann Lee' }, permissions);

  /** Opens a page of a host product with a new link in its frame. */
  async function openIn(name: string, email?: string): Promise<Page> {
    framed = await newLink(email);
    const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
    page.on('pageerror', ({ message }) => errors.push(message));
    await page.goto(`${host(name)}/settings`);
    return page;
  }

  it('signs in by the link, generates, rotates, ends the grace period, and returns, in a page of a listed origin', async () => {
    const page = await openIn('parcel');
    const frame = page.frameLocator('iframe');
    const follow = (name: string) => frame.getByRole('link', { name, exact: true }).first().click();
    const press = (name: string) => frame.getByRole('button', { name, exact: true }).first().click();
    const secret = async () => (await frame.locator('#client-secret').textContent()) ?? '';
    await frame.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'Integrations' }).click();
    await frame.locator('a[href$="/portal/integrations/new"]').first().click();
    await frame.getByLabel('Name', { exact: true }).fill('Order sync');
    await press('Review');
    await frame.locator('main form button.primary').click();
    const first = await secret();
    await follow('Go to Order sync');
    await frame.locator('a[href$="/regenerate"]').first().click();
    await frame.locator('main form button.danger, main form button.primary').first().click();
    await eventually(async () => (await secret()) !== first);
    await follow('Go to Order sync');
    await follow('End grace period now');
    await press('End grace period now');
    await frame.getByText('The grace period has ended').waitFor();
    const cookies = (await page.context().cookies()).filter(({ name }) => name === '__Host-keyturn-portal');
    expect(cookies).toMatchObject([
      { sameSite: 'None', secure: true, httpOnly: true, partitionKey: host('parcel').replace(/:\d+$/, '') },
    ]);
    await follow('← Back to Parcel Cloud');
    await page.waitForURL(`${host('parcel')}/settings`);
    // The host's page is not in its own frame.
    expect(page.frames()).toHaveLength(2);
  });

  it('continues with a submitted form after the person has confirmed their identity in another tab', async () => {
    const email = 'eve@acme.example';
    const page = await openIn('parcel', email);
    const frame = page.frameLocator('iframe');
    await frame.getByRole('navigation', { name: 'Sections' }).getByRole('link', { name: 'Integrations' }).click();
    await frame.locator('a[href$="/portal/integrations/new"]').first().click();
    await frame.getByLabel('Name', { exact: true }).fill('Stock');
    await frame.getByRole('button', { name: 'Review' }).click();
    await frame.getByText('Nothing has been changed yet').waitFor();
    time += 16 * 60_000;
    await frame.locator('main form button.primary').click();
    framed = await newLink(email);
    const [tab] = await Promise.all([
      page.context().waitForEvent('page'),
      frame.getByRole('link', { name: 'Open Parcel Cloud in a new tab' }).click(),
    ]);
    await tab.frameLocator('iframe').getByRole('heading', { name: 'Home' }).waitFor();
    await frame.getByRole('button', { name: 'Continue' }).click();
    await frame.locator('#client-secret').waitFor();
  });

  it('leads out of the frame to the host product when the session has ended', async () => {
    const page = await openIn('parcel');
    const frame = page.frameLocator('iframe');
    await frame.getByRole('button', { name: 'Sign out' }).click();
    await frame.getByText('You are not signed in').waitFor();
    expect(await frame.getByText('Sign in with your organization').count()).toBe(0);
    framed = 'about:blank';
    await frame.getByRole('link', { name: 'Go to Parcel Cloud' }).click();
    await eventually(() => page.frames().length === 2 && page.frames()[1]?.url() === 'about:blank');
    expect(page.url()).toBe(`${host('parcel')}/settings`);
  });

  it('is not shown in a page of an origin that is not listed, and the link stays unused', async () => {
    const page = await openIn('elsewhere');
    await eventually(() => page.frames()[1]?.url().startsWith('chrome-error:') === true);
    const text = await page.frameLocator('iframe').locator('body').textContent();
    expect(text).not.toMatch(/Ann Lee|Continue|Parcel Cloud/);
    expect(await page.context().cookies()).toEqual([]);
    const direct = await page.context().newPage();
    await direct.goto(framed);
    await direct.getByRole('heading', { name: 'Home' }).waitFor();
    // A session of the whole browser is not one of frames in other pages.
    framed = `https://localhost:${port}/portal/`;
    await page.goto(`${host('parcel')}/settings`);
    await page.frameLocator('iframe').getByText('You are not signed in').waitFor();
  });
});
