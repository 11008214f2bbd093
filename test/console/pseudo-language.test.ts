import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { languages } from '../../src/admin/console/languages/language.ts';
import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';
import { fill, openEach, paths, problemsOf, violationsOf } from './every-page.ts';
import { addPseudoLanguage, pseudo, untranslatedOn } from './untranslated.ts';

/** Directory for screenshots: `CONSOLE_SCREENSHOTS=/tmp/pages npm test -- test/console/pseudo-language.test.ts` */
const screenshots = process.env['CONSOLE_SCREENSHOTS'];

let server: ConsoleServer;
let browser: Browser;
let cookie: string;

describeWith('Chromium')('the pages of the console in other languages', () => {
  beforeAll(async () => {
    addPseudoLanguage();
    server = await startConsole({ env: { KEYTURN_PORTAL_URL: 'https://portal.example' } });
    Object.assign(paths, await fill(server));
    cookie = await server.signIn((await server.operator()).token);
    browser = await launchBrowser();
    if (screenshots) await mkdir(screenshots, { recursive: true });
  });

  afterAll(async () => {
    languages.delete(pseudo);
    await browser?.close();
    await server?.close();
  });

  async function openIn(language: string): Promise<Page> {
    const context: BrowserContext = await browser.newContext({
      viewport: { width: 390, height: 900 },
      bypassCSP: true,
      extraHTTPHeaders: { 'accept-language': language },
    });
    const [name = '', value = ''] = cookie.split('=');
    await context.addCookies([{ name, value, url: server.adminUrl }]);
    return await context.newPage();
  }

  it('have every text in the catalogue, from right to left, in the width of a phone, and pass axe checks', async () => {
    const page = await openIn(pseudo);
    const found: string[] = [];
    for await (const name of openEach(page, server.adminUrl)) {
      if (screenshots) await page.screenshot({ path: join(screenshots, `${name}-rtl-390.png`), fullPage: true });
      const direction = await page.evaluate('document.documentElement.dir + document.documentElement.lang');
      if (direction !== `rtl${pseudo}`) found.push(`${name}: ${direction}`);
      const problems = [...(await untranslatedOn(page)), ...(await problemsOf(page)), ...(await violationsOf(page))];
      found.push(...problems.map((problem) => `${name}: ${problem}`));
    }
    expect([...new Set(found)]).toEqual([]);
  });

  it('fit the width of a phone and of a desktop in German', async () => {
    const page = await openIn('de');
    const found: string[] = [];
    for await (const name of openEach(page, server.adminUrl)) {
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 900 });
        if (screenshots) await page.screenshot({ path: join(screenshots, `${name}-de-${width}.png`), fullPage: true });
        found.push(...(await problemsOf(page)).map((problem) => `${name}, ${width} px: ${problem}`));
      }
    }
    expect(found).toEqual([]);
  });
});
