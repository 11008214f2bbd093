import axe from 'axe-core';
import type { Browser } from 'playwright-core';
import { launchBrowser } from '../console/console-server.ts';
import { type PortalServer, startPortal } from '../portal/portal-server.ts';
import { describeWith } from '../programs.ts';

describeWith('Chromium')('the page of a hand-over', () => {
  let server: PortalServer;
  let browser: Browser;

  beforeAll(async () => {
    server = await startPortal();
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it.each(['light', 'dark'] as const)(
    'shows the secret after the code, passes axe, and fits 320 pixels in the %s theme',
    async (colorScheme) => {
      const { client_id: id } = await server.post('/clients', { name: 'Order <sync>', kind: 'integration' });
      const { confirmation } = await server.post(`/clients/${id}/regeneration/review`);
      const body = { confirmation, email: 'ann@example.com' };
      const { url, code } = await server.post(`/clients/${id}/handover`, body);
      const context = await browser.newContext({ colorScheme, viewport: { width: 320, height: 800 }, bypassCSP: true });
      const page = await context.newPage();
      const check = async () => {
        await page.addScriptTag({ content: axe.source });
        const { violations } = await page.evaluate<{ violations: { id: string }[] }>('axe.run()');
        expect(violations.map((violation) => violation.id)).toEqual([]);
        const width = await page.evaluate('document.documentElement.scrollWidth');
        expect(width).toBeLessThanOrEqual(320);
      };
      await page.goto(url);
      await check();
      await page.getByLabel('Code').fill('0');
      await page.getByRole('button', { name: 'Show secret' }).click();
      expect(await page.getByRole('alert').textContent()).toContain('You have 4 more attempts.');
      await check();
      await page.getByLabel('Code').fill(code);
      await page.getByRole('button', { name: 'Show secret' }).click();
      expect(await page.locator('#secret').textContent()).toMatch(/^kts_\w{49}$/);
      await check();
      await page.goto(url);
      expect(await page.getByRole('alert').textContent()).toContain('A secret is shown only once.');
      await check();
      await context.close();
    },
  );
});
