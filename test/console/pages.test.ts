import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { describeWith } from '../programs.ts';
import { type ConsoleServer, launchBrowser, startConsole } from './console-server.ts';
import { fill, openEach, paths, problemsOf, violationsOf } from './every-page.ts';

/** Directory for screenshots: `CONSOLE_SCREENSHOTS=/tmp/pages npm test -- test/console/pages.test.ts` */
const screenshots = process.env['CONSOLE_SCREENSHOTS'];
/** The narrowest width is last: axe runs after it, because the layout there differs most from the browser's default. */
const widths = [2560, 1280, 320] as const;
const themes = ['light', 'dark'] as const;

let server: ConsoleServer;
let browser: Browser;
let cookie: string;
describeWith('Chromium')('the pages of the console in a browser', () => {
  beforeAll(async () => {
    server = await startConsole({ env: { KEYTURN_PORTAL_URL: 'https://portal.example' } });
    Object.assign(paths, await fill(server));
    cookie = await server.signIn((await server.operator()).token);
    browser = await launchBrowser();
    if (screenshots) await mkdir(screenshots, { recursive: true });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it.each(themes)(
    'fit widths from 320 to 2,560 pixels, pass axe checks, and escape stored markup in the %s theme',
    async (theme) => {
      const found: string[] = [];
      const page = await openPage(theme);
      for await (const name of openEach(page, server.adminUrl)) {
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
