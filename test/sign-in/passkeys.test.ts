import type { Browser, BrowserContext, CDPSession, Page } from 'playwright-core';
import { launchBrowser } from '../console/console-server.ts';
import { type PortalServer, startPortal } from '../portal/portal-server.ts';
import { describeWith } from '../programs.ts';

/** Directory for screenshots: `PASSKEY_SCREENSHOTS=/tmp/passkeys npm test -- test/sign-in/passkeys.test.ts` */
const screenshots = process.env['PASSKEY_SCREENSHOTS'];

describeWith('Chromium')('passkeys in a browser with a virtual authenticator', () => {
  let now = Date.now();
  let server: PortalServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let devtools: CDPSession;
  let authenticatorId: string;
  let ann: { id: string; token: string };
  let consoleUrl: string;

  beforeAll(async () => {
    server = await startPortal({ clock: () => now });
    // An address cannot be the host of a passkey (WebAuthn Level 3, "relying party identifier").
    consoleUrl = server.adminUrl.replace('127.0.0.1', 'localhost');
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  beforeEach(async () => {
    ann = await server.operator(['integrations:view', 'contacts:manage']);
    context = await browser.newContext({ locale: 'en' });
    page = await context.newPage();
    devtools = await context.newCDPSession(page);
    await devtools.send('WebAuthn.enable');
    const options = {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
    } as const;
    const added = await devtools.send('WebAuthn.addVirtualAuthenticator', {
      options: { ...options, isUserVerified: true, automaticPresenceSimulation: true },
    });
    authenticatorId = added.authenticatorId;
  });
  afterEach(() => context.close());

  const heading = () => page.locator('h1').textContent();

  /** Signs in with the operator token, and registers a passkey. */
  async function register(name = 'Laptop'): Promise<void> {
    await page.goto(`${consoleUrl}/console/sign-in`);
    await page.fill('#token', ann.token);
    await page.click('button:text-is("Sign in")');
    await page.goto(`${consoleUrl}/console/passkeys`);
    await page.fill('#field-name', name);
    await page.click('button:text-is("Register a passkey")');
    await page.getByText('You can sign in with it from now on.').waitFor();
  }

  async function signOut(): Promise<void> {
    await page.click('button:text-is("Sign out")');
    await page.locator('#token').waitFor();
  }

  /** Sends the answer of a browser. Returns the status. */
  async function send(passkey: string): Promise<number> {
    const headers = { origin: consoleUrl };
    const body = new URLSearchParams({ passkey });
    return (await fetch(`${consoleUrl}/console/sign-in`, { method: 'POST', headers, body, redirect: 'manual' })).status;
  }

  it('signs in without a name or a token, and shows when each was last used', async () => {
    await register();
    await signOut();
    await page.click('button:text-is("Use a passkey")');
    await page.waitForURL(`${consoleUrl}/console/`);
    const { data } = (await server.adminFetch('/me/passkeys', { token: ann.token })).json;
    expect(data).toMatchObject([{ name: 'Laptop', last_used_at: new Date(now).toISOString() }]);
    const { json } = await server.adminFetch(`/contacts/${ann.id}/sessions`);
    expect(json.data).toMatchObject([{ method: 'passkey' }]);
    const events = (await server.adminFetch(`/audit-events?target=${ann.id}`)).json.data;
    expect(events.map(({ action }: { action: string }) => action)).toEqual(
      expect.arrayContaining(['contact.register_passkey', 'console.sign_in']),
    );
    if (screenshots) await takeScreenshots();
  });

  it('renews the proof of identity, and registering needs a proof', async () => {
    await register();
    now += 16 * 60_000;
    await page.goto(`${consoleUrl}/console/passkeys`);
    expect(await heading()).toBe('Confirm it’s you');
    await page.click('button:text-is("Use a passkey")');
    await page.getByText('Laptop').waitFor();
    expect(await heading()).toBe('Your passkeys');
  });

  it('needs a verified user, and an answer is accepted once', async () => {
    await register();
    await signOut();
    await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await page.click('button:text-is("Use a passkey")');
    await page.getByText('The browser did not give a passkey.').waitFor();
    await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true });
    const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().endsWith('/sign-in'));
    await page.click('button:text-is("Use a passkey")');
    const answer = new URLSearchParams((await sent).postData() ?? '').get('passkey') ?? '';
    await page.waitForURL(`${consoleUrl}/console/`);
    for (const broken of [answer, answer.replace('"id"', '"ID"'), '{}', '[]', 'null', 'x', '{"id":"a"}']) {
      expect(await send(broken)).toBe(401);
    }
    await signOut();
    // The browser could be made to ask for less than the server.
    await devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false });
    await page.route('**/sign-in/passkey', async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: { ...(await response.json()), userVerification: 'discouraged' } });
    });
    await page.click('button:text-is("Use a passkey")');
    await page.getByText('This passkey could not be verified.').waitFor();
  });

  it('does not prove the identity of another person', async () => {
    await register();
    await signOut();
    const bob = await server.operator();
    await page.fill('#token', bob.token);
    await page.click('button:text-is("Sign in")');
    now += 16 * 60_000;
    await page.goto(`${consoleUrl}/console/passkeys`);
    await page.click('button:text-is("Use a passkey")');
    await page.getByText('This passkey could not be verified.').waitFor();
  });

  it('a removed passkey no longer signs in, and others are removed only by those who manage contacts', async () => {
    await register();
    const { data } = (await server.adminFetch(`/contacts/${ann.id}/passkeys`)).json;
    const path = `/passkeys/${data[0].id}`;
    const other = await server.operatorToken(['integrations:view', 'integrations:edit']);
    for (const own of ['/me', `/contacts/${ann.id}`]) {
      const { status } = await server.adminFetch(own + path, { method: 'DELETE', token: other });
      expect(status).toBe(own === '/me' ? 404 : 403);
    }
    await signOut();
    expect((await server.adminFetch(`/contacts/${ann.id}${path}`, { method: 'DELETE' })).status).toBe(204);
    await page.click('button:text-is("Use a passkey")');
    await page.getByText('This passkey could not be verified.').waitFor();
  });

  it('signs people of an organization in to the portal', async () => {
    const { id } = await server.post('/organizations', { name: 'Acme' });
    const person = { organization_id: id, email: 'zoe@acme.example', name: 'Zoe', permissions: ['integrations:view'] };
    const { url } = await server.post('/invitations', person);
    const portal = new URL(url).origin;
    await page.goto(url);
    await page.click('button:text-is("Continue")');
    await page.click('a:text-is("Register a passkey")');
    await page.fill('#field-name', 'Phone');
    await page.click('button:text-is("Register a passkey")');
    await page.getByText('You can sign in with it from now on.').waitFor();
    await page.click('button:text-is("Sign out")');
    await page.click('button:text-is("Use a passkey")');
    await page.waitForURL(`${portal}/portal/`);
    now += 16 * 60_000;
    await page.goto(`${portal}/portal/passkeys`);
    await page.click('button:text-is("Use a passkey")');
    await page.getByText('Phone').waitFor();
  });

  async function takeScreenshots(): Promise<void> {
    for (const [path, name] of [
      ['passkeys', 'passkeys'],
      ['welcome', 'welcome'],
    ] as const) {
      for (const width of [390, 1280]) {
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.setViewportSize({ width, height: 800 });
          await page.emulateMedia({ colorScheme });
          await page.goto(`${consoleUrl}/console/${path}`);
          await page.screenshot({ path: `${screenshots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
        }
      }
    }
  }
});
