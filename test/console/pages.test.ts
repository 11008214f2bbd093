import { generateKeyPairSync } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import axe from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { makeCertificate } from '../certificates.ts';
import { endpointsOf } from '../oauth/fixture.ts';
import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';

/** Directory for screenshots: `CONSOLE_SCREENSHOTS=/tmp/pages npm test -- test/console/pages.test.ts` */
const screenshots = process.env['CONSOLE_SCREENSHOTS'];
const hostile = `<script>window.wasRun=1</script><img src=x onerror="window.wasRun=1">"'&`;
/** The narrowest width is last: axe runs after it, because the layout there differs most from the browser's default. */
const widths = [2560, 1280, 320] as const;
const themes = ['light', 'dark'] as const;

let server: ConsoleServer;
let browser: Browser;
let cookie: string;
/** A page that a form leads to: opens the path and submits the form. */
type FormPage = { path: string; submit: (page: Page) => Promise<void> };

/** Paths of pages by the names of their screenshots. */
const paths: Record<string, string | FormPage> = {
  home: '/console/',
  search: '/console/search?q=Partner',
  expirations: '/console/expirations?days=400',
  integrations: '/console/integrations',
  'integrations-found': '/console/integrations?q=Order',
  'integrations-none-found': '/console/integrations?q=zzz',
  generate: '/console/integrations/new',
  'integrations-by-name': '/console/integrations?order=name&limit=25',
  'access-keys': '/console/access-keys',
  'access-keys-unclear': '/console/access-keys?client_id=Partner',
  contacts: '/console/contacts',
  organizations: '/console/organizations',
  'organization-new': '/console/organizations/new',
  sessions: '/console/sessions',
  'contact-new': '/console/contacts/new',
  'resource-servers': '/console/resource-servers',
  'resource-server-new': '/console/resource-servers/new',
  'signing-keys': '/console/signing-keys',
  audit: '/console/audit',
  'audit-unclear': '/console/audit?target=Partner',
  explain: '/console/explain',
  system: '/console/system',
  'api-reference': '/console/api',
  'api-operation': '/console/api/createClient',
  'api-operation-public': '/console/api/introspectToken',
  'not-found': '/console/nowhere',
};

describeWith('Chromium')('the pages of the console in a browser', () => {
  beforeAll(async () => {
    server = await startConsole({ env: { KEYTURN_PORTAL_URL: 'https://portal.example' } });
    Object.assign(paths, await fill(server));
    cookie = await server.signIn((await server.operator()).token);
    browser = await launchBrowser();
    if (screenshots) await mkdir(screenshots, { recursive: true });
  }, 60_000);

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it.each(themes)(
    'fit widths from 320 to 2,560 pixels, pass axe checks, and escape stored markup in the %s theme',
    async (theme) => {
      const found: string[] = [];
      const page = await openPage(theme);
      for (const [name, path] of Object.entries(paths)) {
        await page.goto(server.adminUrl + (typeof path === 'string' ? path : path.path));
        if (typeof path !== 'string') await path.submit(page);
        for (const width of widths) {
          await page.setViewportSize({ width, height: 900 });
          if (screenshots && width < 2560) {
            await page.screenshot({ path: join(screenshots, `${name}-${theme}-${width}.png`), fullPage: true });
          }
          found.push(...(await problemsOf(page)).map((problem) => `${name}, ${width} px: ${problem}`));
        }
        // The themes differ only in colours.
        const rules = theme === 'light' ? undefined : ['color-contrast'];
        found.push(...(await violationsOf(page, rules)).map((violation) => `${name}: ${violation}`));
      }
      expect(found).toEqual([]);
    },
    240_000,
  );

  it('load less than 60 kB for the first page with its assets', async () => {
    const page = await openPage('light');
    const session = await page.context().newCDPSession(page);
    await session.send('Network.enable');
    let bytes = 0;
    session.on('Network.loadingFinished', ({ encodedDataLength }) => {
      bytes += encodedDataLength;
    });
    await page.goto(`${server.adminUrl}/console/integrations`, { waitUntil: 'networkidle' });
    expect(bytes).toBeGreaterThan(1_000);
    expect(bytes).toBeLessThan(60_000);
  });

  it('are not shown in a frame of another site', async () => {
    const page = await openPage('light');
    await page.route('https://elsewhere.example/', (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<iframe src="${server.adminUrl}/console/integrations"></iframe>`,
      }),
    );
    await page.goto('https://elsewhere.example/');
    await page.waitForTimeout(500);
    const texts = await Promise.all(
      page.frames().map((frame) =>
        frame
          .locator('body')
          .textContent()
          .catch(() => ''),
      ),
    );
    expect(texts.join()).not.toContain('Integrations');
  });

  it('can be used by keyboard, with visible focus and a link that skips to the content', async () => {
    const page = await openPage('light');
    await page.goto(`${server.adminUrl}/console/integrations`);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to main content');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.closest("main") !== null')).toBe(true);
    const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle');
    expect(outline).not.toBe('none');
  });
});

async function openPage(colorScheme: 'light' | 'dark'): Promise<Page> {
  const context = await browser.newContext({ colorScheme, viewport: { width: 1280, height: 900 }, bypassCSP: true });
  const [name = '', value = ''] = cookie.split('=');
  await context.addCookies([{ name, value, url: server.adminUrl }]);
  return await context.newPage();
}

/** Finds problems that axe does not check: overflow and stored markup that was executed. */
async function problemsOf(page: Page): Promise<string[]> {
  return (await page.evaluate(`(() => {
    const found = [];
    const { scrollWidth, clientWidth } = document.documentElement;
    const isOut = (element) => element.getBoundingClientRect().right > clientWidth + 0.5;
    const [out] = [...document.querySelectorAll('main, main *:not(thead *)')].filter(isOut);
    if (scrollWidth > clientWidth) found.push('wider than the window: ' + (out?.outerHTML.slice(0, 120) ?? 'something'));
    if (window.wasRun) found.push('stored markup was run');
    return found;
  })()`)) as string[];
}

/**
 * Runs axe on a page.
 * @param rules ids of the rules to check, by default all.
 */
async function violationsOf(page: Page, rules?: readonly string[]): Promise<string[]> {
  await page.evaluate(axe.source);
  const options = rules ? { runOnly: rules } : {};
  return (await page.evaluate(`axe.run(${JSON.stringify(options)}).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ' ' + target)))`)) as string[];
}

/**
 * Fills the server with typical data whose texts contain markup.
 * @returns the paths of the pages of this data.
 */
async function fill({ adminFetch, publicUrl, look, operator, signIn }: ConsoleServer): Promise<typeof paths> {
  const post = async (path: string, body: unknown = {}) => {
    const { status, json, text } = await adminFetch(path, { method: 'POST', body });
    if (status > 299) throw new Error(`${path}: ${text}`);
    return json;
  };
  const api = await post('/clients', {
    name: `Shop API ${hostile}`,
    kind: 'resource_server',
    resource: 'https://api.example.com/a-rather-long-path/that-does-not-break-anywhere-in-the-middle',
    information: ['orders', 'products', 'contacts', 'invoices_and_credit_notes'],
  });
  const scope = 'orders:read orders:create products:read';
  const order = await post('/clients', { name: `Order sync ${hostile}`, kind: 'integration', scope });
  for (let number = 1; number <= 12; number++) {
    await post('/clients', { name: `Partner ${number}`, kind: 'integration', scope: 'orders:read' });
  }
  const partner = await post('/organizations', {
    name: `Partner ${hostile}`,
    external_id: `crm ${hostile}`,
    labels: { tier: hostile },
    ceiling: { integrations: 5, key_lifetime: 86_400, scopes: [{ resource: api.resource, scope: 'orders:read' }] },
  });
  await post('/clients', { name: 'Of a partner', kind: 'integration', organization_id: partner.id });
  await post('/contacts', { name: 'Of a partner', email: 'it@partner.example', organization_id: partner.id });
  const jwk = {
    ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }),
    kid: hostile,
  };
  const signing = await post('/clients', {
    name: 'Signs',
    kind: 'integration',
    auth_method: 'private_key_jwt',
    jwks: { keys: [jwk] },
  });
  const contact = await post('/contacts', {
    name: `Partner ${hostile}`,
    email: 'it@partner.example',
    external_id: `crm ${hostile}`,
    permissions: ['integrations:view'],
  });
  const key = await post(`/contacts/${contact.id}/access-keys`, {
    name: `Warehouse ${hostile}`,
    permissions: { orders: ['read', 'update'], products: ['read'] },
  });
  const idle = await post(`/contacts/${contact.id}/access-keys`, {
    name: 'Never used',
    permissions: { orders: ['read'] },
  });

  const webhook = await post('/webhooks', { name: `Chat ${hostile}`, url: 'https://hooks.example.com/keyturn' });
  await post(`/webhooks/${webhook.id}/rotate`);
  const { confirmation } = await post(`/access-keys/${idle.id}/regeneration/review`);
  await post(`/access-keys/${idle.id}/handover`, { confirmation, contact_id: contact.id });

  const { token } = endpointsOf(publicUrl);
  const headers = { 'user-agent': `sync/1.2 ${hostile}` };
  const old = { id: order.client_id, secret: order.client_secret };
  for (let count = 0; count < 6; count++) await token(old, {}, { headers });
  await token(old, { access_key: key.access_key, scope: 'orders:read' }, { headers });
  const review = await post(`/clients/${order.client_id}/regeneration/review`);
  const turned = await post(`/clients/${order.client_id}/regenerate`, { confirmation: review.confirmation });
  for (let count = 0; count < 3; count++) await token({ ...old, secret: turned.client_secret }, {}, { headers });
  for (let count = 0; count < 2; count++) await token(old, {}, { headers: { 'user-agent': 'nightly' } });
  await post(`/clients/${order.client_id}/authorization-token`);

  // Usage counts are written in batches, so wait until they are visible.
  const at = `/console/clients/${order.client_id}`;
  const me = await operator();
  const seen = await signIn(me.token);
  const deadline = Date.now() + 15_000;
  while (!(await look(at, seen)).text.includes('nightly')) {
    if (Date.now() > deadline) throw new Error('the use was not written');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return {
    organization: `/console/organizations/${partner.id}`,
    'organization-edit': `/console/organizations/${partner.id}/edit`,
    'organization-disable': `/console/organizations/${partner.id}/disable`,
    client: at,
    'client-edit': `${at}/edit`,
    'client-token': `${at}/authorization-token`,
    'explain-client': `/console/explain?id=${order.client_id}`,
    'client-regenerate': `${at}/regenerate`,
    'client-disable': `${at}/disable`,
    'client-revoke-tokens': `${at}/revoke-tokens`,
    'client-replace': `${at}/replace`,
    'client-replace-wrong': {
      path: `${at}/replace`,
      submit: async (page) => {
        await page.getByLabel('A self-signed TLS certificate').check();
        await page.getByRole('button', { name: 'Review' }).click();
      },
    },
    'client-replace-review': {
      path: `${at}/replace`,
      submit: async (page) => {
        await page.getByLabel('A self-signed TLS certificate').check();
        await page.getByLabel('Keys or certificate').fill(makeCertificate({ subject: 'sync' }).cert);
        await page.getByRole('button', { name: 'Review' }).click();
      },
    },
    'client-with-keys': `/console/clients/${signing.client_id}`,
    'client-with-keys-replace': `/console/clients/${signing.client_id}/replace`,
    'client-finish': `${at}/regenerations/${turned.regeneration_id}/finish`,
    'client-undo': `${at}/regenerations/${turned.regeneration_id}/undo`,
    'client-mark-moved': `${at}/regenerations/${turned.regeneration_id}/mark-moved?address=192.0.2.7&user_agent=sync%2F1.0&instance=pod-1`,
    'client-unmark-moved': `${at}/regenerations/${turned.regeneration_id}/unmark-moved?address=192.0.2.7&user_agent=sync%2F1.0&instance=pod-1`,
    'resource-server': `/console/clients/${api.client_id}`,
    contact: `/console/contacts/${contact.id}`,
    'contact-sessions': `/console/contacts/${me.id}/sessions`,
    'contact-edit': `/console/contacts/${contact.id}/edit`,
    'contact-keys-disable': `/console/contacts/${contact.id}/disable-access-keys`,
    'access-key': `/console/access-keys/${key.id}`,
    'access-key-unused': `/console/access-keys/${idle.id}`,
    'access-key-new': `/console/contacts/${contact.id}/access-keys/new`,
    'access-key-regenerate': `/console/access-keys/${key.id}/regenerate`,
    webhooks: '/console/webhooks',
    'webhook-new': '/console/webhooks/new',
    'webhook-made': {
      path: '/console/webhooks/new',
      submit: async (page) => {
        await page.getByLabel('Name').fill('New');
        await page.getByLabel('URL').fill('https://hooks.example.com/new');
        await page.getByRole('button', { name: 'Create' }).click();
      },
    },
    webhook: `/console/webhooks/${webhook.id}`,
    'webhook-edit': `/console/webhooks/${webhook.id}/edit`,
    'webhook-rotate': `/console/webhooks/${webhook.id}/rotate`,
    'webhook-replay': `/console/webhooks/${webhook.id}/replay`,
    'webhook-finish': `/console/webhooks/${webhook.id}/rotation/finish`,
    'webhook-delete': `/console/webhooks/${webhook.id}/delete`,
    'access-key-handover': `/console/access-keys/${idle.id}/handover`,
    'access-key-handover-made': {
      path: `/console/access-keys/${key.id}/handover`,
      submit: async (page) => {
        await page.getByLabel('Receiver').fill('ann@example.com');
        await page.getByRole('button', { name: 'Create link' }).click();
      },
    },
    'access-key-handover-withdraw': `/console/access-keys/${idle.id}/handover/withdraw`,
    'access-key-disable': `/console/access-keys/${key.id}/disable`,
    'access-key-remove': `/console/access-keys/${idle.id}/remove`,
  };
}
