import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { languages } from '../../src/admin/console/languages/language.ts';
import { portalPages } from '../../src/admin/console/pages.ts';
import { launchBrowser } from '../console/console-server.ts';
import { openEach, problemsOf, violationsOf } from '../console/every-page.ts';
import { addPseudoLanguage, pseudo, untranslatedOn } from '../console/untranslated.ts';
import { type MailServer, mailEnvironment, startMailServer } from '../notices/mail-server.ts';
import { describeWith } from '../programs.ts';
import { fillPortal } from './every-portal-page.ts';
import { type PortalServer, startPortal } from './portal-server.ts';

/** Directory for screenshots: `PORTAL_SCREENSHOTS=/tmp/portal npm test -- test/portal/portal-pages.test.ts` */
const screenshots = process.env['PORTAL_SCREENSHOTS'];

let server: PortalServer;
let browser: Browser;
let mail: MailServer;
let world: Awaited<ReturnType<typeof fillPortal>>;

describeWith('Chromium')('the pages of the portal in a browser', () => {
  beforeAll(async () => {
    addPseudoLanguage();
    mail = await startMailServer();
    server = await startPortal({ env: mailEnvironment(mail.port) });
    world = await fillPortal(server);
    browser = await launchBrowser();
    if (screenshots) await mkdir(screenshots, { recursive: true });
  });

  afterAll(async () => {
    languages.delete(pseudo);
    await browser?.close();
    await server?.close();
    await mail?.close();
  });

  const url = () => server.core.config.portalUrl ?? '';

  async function openIn(language: string, colorScheme: 'light' | 'dark' = 'light'): Promise<Page> {
    const context = await browser.newContext({
      colorScheme,
      bypassCSP: true,
      viewport: { width: 390, height: 900 },
      extraHTTPHeaders: { 'accept-language': language },
    });
    const [name = '', value = ''] = world.cookie.split('=');
    await context.addCookies([{ name, value, url: url() }]);
    return await context.newPage();
  }

  async function photograph(page: Page, name: string): Promise<void> {
    if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
  }

  it('fit widths of 390 and 1,280 pixels, pass axe checks, escape stored markup, and are all that exist', async () => {
    const page = await openIn('en');
    const found: string[] = [];
    const visited: string[] = [];
    for await (const name of openEach(page, url(), world.pages)) {
      visited.push(new URL(page.url()).pathname);
      for (const width of [390, 1280]) {
        await page.setViewportSize({ width, height: 900 });
        await photograph(page, `${name}-light-${width}`);
        found.push(...(await problemsOf(page)).map((problem) => `${name}, ${width} px: ${problem}`));
      }
      found.push(...(await violationsOf(page)).map((violation) => `${name}: ${violation}`));
    }
    expect(found).toEqual([]);
    const missing = portalPages.filter(({ method, path }) => {
      // A file, and a page that the portal does not lead to, because it issues no operator tokens.
      if (method !== 'get' || path.endsWith('.ics') || path === '/welcome/token/:name') return false;
      const pattern = new RegExp(`^/portal${path.replace(/:\w+/g, '[^/]+')}$`);
      return !visited.some((each) => pattern.test(each));
    });
    expect(missing.map(({ path }) => path)).toEqual([]);
  }, 600_000);

  it('pass axe checks in the dark theme on a phone', async () => {
    const page = await openIn('en', 'dark');
    const found: string[] = [];
    for await (const name of openEach(page, url(), world.pages)) {
      for (const width of screenshots ? [1280, 390] : [390]) {
        await page.setViewportSize({ width, height: 900 });
        await photograph(page, `${name}-dark-${width}`);
      }
      found.push(...(await violationsOf(page)).map((violation) => `${name}: ${violation}`));
    }
    expect(found).toEqual([]);
  }, 600_000);

  it('have every text in the catalogue, from right to left, in the width of a phone', async () => {
    const page = await openIn(pseudo);
    const found: string[] = [];
    for await (const name of openEach(page, url(), world.pages)) {
      await photograph(page, `${name}-rtl-390`);
      const direction = await page.evaluate('document.documentElement.dir + document.documentElement.lang');
      if (direction !== `rtl${pseudo}`) found.push(`${name}: ${direction}`);
      const problems = [...(await untranslatedOn(page)), ...(await problemsOf(page))];
      found.push(...problems.map((problem) => `${name}: ${problem}`));
    }
    expect([...new Set(found)]).toEqual([]);
  }, 600_000);

  it('fit the width of a phone and of a desktop in German, and show no English text of the catalogue', async () => {
    const page = await openIn('de');
    const texts = Object.entries(languages.get('de')?.catalogue?.().pages ?? {});
    const translated = new Set(texts.map(([, german]) => german));
    const english = texts.map(([text]) => text).filter((text) => !translated.has(text));
    const found: string[] = [];
    for await (const name of openEach(page, url(), world.pages)) {
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 900 });
        await photograph(page, `${name}-de-${width}`);
        found.push(...(await problemsOf(page)).map((problem) => `${name}, ${width} px: ${problem}`));
      }
      const left = await page.evaluate<string[]>(
        `((english) => document.body.innerText.split('\\n').map((line) => line.trim()).filter((line) => english.has(line)))(new Set(${JSON.stringify(english)}))`,
      );
      found.push(...left.map((text) => `${name} is not translated: ${text}`));
    }
    expect(found).toEqual([]);
  }, 600_000);
});
