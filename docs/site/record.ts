/**
 * Records the pictures of the README in `docs/pictures/` from the real console: a moving picture of a rotation, and
 * screenshots. The server is embedded, and its clock is moved.
 *
 * Run `npm run docs:pictures` in the project's folder. It needs Chromium (`CHROMIUM`, or `/usr/bin/chromium`).
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import sharp from 'sharp';
import { readConfig } from '../../src/config.ts';
import { permissions } from '../../src/contacts/contact.ts';
import { createContact, issueOperatorToken } from '../../src/contacts/manage-contacts.ts';
import { openCore } from '../../src/core.ts';
import { createLog } from '../../src/observability/log.ts';
import { startServer } from '../../src/server.ts';

const hour = 3_600_000;
const size = { width: 1080, height: 720 };
const pictures = fileURLToPath(new URL('../pictures/', import.meta.url));

// The clock stands still between the steps.
let now = Date.now() - 4 * 24 * hour;
const dataDir = mkdtempSync(join(tmpdir(), 'keyturn-pictures-'));
const config = readConfig({
  KEYTURN_DATA_DIR: dataDir,
  KEYTURN_PORT: '0',
  KEYTURN_ADMIN_PORT: '0',
  KEYTURN_ISSUER: 'http://localhost:4000',
  KEYTURN_ALLOWED_HOSTS: '127.0.0.1,localhost',
  KEYTURN_TRUST_PROXY: '127.0.0.1/32',
  KEYTURN_LOG_LEVEL: 'error',
});
const core = await openCore(config, createLog('error', process.stderr.fd), { clock: () => now });
const server = await startServer(core, { drainMs: 100 });
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
try {
  mkdirSync(pictures, { recursive: true });
  await record();
} finally {
  await browser.close();
  await server.close();
  await core.close();
  rmSync(dataDir, { recursive: true });
}

async function record(): Promise<void> {
  const token = await createOperator();
  const api = await create(token, {
    name: 'Shop API',
    kind: 'resource_server',
    resource: 'https://api.example.com',
    information: ['orders', 'products'],
  });
  const client = await create(token, { name: 'Order sync', kind: 'integration', scope: 'orders:read products:read' });
  const machines = ['worker-1', 'worker-2', 'nightly'].map((instance, index) => ({
    instance,
    address: `198.51.100.${21 + index}`,
    userAgent: index === 2 ? 'order-export/1.4' : 'order-sync/3.1',
  }));
  const call = async (secret: string, ...which: number[]) => {
    for (const index of which) await requestToken(client.client_id, secret, machines[index] as Machine);
    await core.usage.flush();
  };
  // Two days of use before the rotation.
  for (let past = 48; past > 0; past--) {
    now += hour;
    await call(client.client_secret, 0, 1);
    if (past % 12 === 0) await call(client.client_secret, 2);
  }
  if (!api.client_id) throw new Error('the API was not registered');

  const page = await (await browser.newContext({ viewport: size, colorScheme: 'light' })).newPage();
  const film = createFilm(page);
  const at = `/console/clients/${client.client_id}`;
  /** Opens a page of the console, and signs in first if the session has ended. */
  const open = async (path: string) => {
    await page.goto(`${server.adminUrl}${path}`);
    if ((await page.locator('[name=token]').count()) === 0) return;
    await page.fill('[name=token]', token);
    await page.click('main button');
    await page.goto(`${server.adminUrl}${path}`);
  };
  await open(at);
  await shoot(page, 'integration');
  await film.take('Three machines use the secret of this integration.', 2_600, {
    click: 'a[href$="/regenerate"]',
  });

  await open(`${at}/regenerate`);
  await page.selectOption('[name=overlap_seconds]', '604800');
  await page.check('[name=finish_when_unused]');
  await shoot(page, 'review');
  await film.take('Before anything changes: who uses the secret, and what would fail.', 3_000, { show: 'h1' });
  await film.take('Both secrets will work for a week, or until all sources have moved.', 2_600, {
    click: 'form.rotation button.primary',
  });

  await page.click('form.rotation button.primary');
  const secret = /kts_\w+/.exec(await page.content())?.[0];
  if (!secret) throw new Error('the new secret is not shown');
  await film.take('The new secret. The previous one keeps working for a week.', 2_600);

  const see = async (caption: string, ms: number) => {
    await open(at);
    await film.take(caption, ms, { show: '#regenerations-title' });
  };
  for (let each = 0; each < 3; each++) {
    now += hour;
    await call(client.client_secret, 1, ...(each === 0 ? [2] : []));
    await call(secret, 0);
  }
  await see('Worker 1 uses the new secret. The others have not moved, and nothing fails.', 2_800);
  now += 12 * hour;
  await call(secret, 0, 1);
  await call(client.client_secret, 2);
  await shoot(page, 'progress');
  await see('Worker 2 has moved too. The nightly job still uses the previous secret.', 2_800);
  for (let each = 0; each < 26; each++) {
    now += hour;
    await call(secret, 0, 1, ...(each % 12 === 0 ? [2] : []));
  }
  await isFinished(token, client.client_id);
  await see('All three have moved, for longer than their longest pause: the grace period has ended.', 3_600);
  await film.write('rotation');
}

type Machine = { instance: string; address: string; userAgent: string };

async function createOperator(): Promise<string> {
  const grantor = { id: 'pictures', name: 'pictures', address: null, permissions };
  return await core.change(async (transaction) => {
    const operator = { name: 'Ann Operator', email: 'ann@example.com', permissions };
    const { id } = await createContact(transaction, core, grantor, operator);
    return (await issueOperatorToken(transaction, core, grantor, id)).operatorToken;
  });
}

async function create(token: string, body: object): Promise<{ client_id: string; client_secret: string }> {
  const response = await fetch(`${server.adminUrl}/admin/v1/clients`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) throw new Error(await response.text());
  return (await response.json()) as { client_id: string; client_secret: string };
}

/** Resolves when the server has ended the grace period by itself, which it checks several times a minute. */
async function isFinished(token: string, id: string): Promise<void> {
  for (let attempts = 0; attempts < 120; attempts++) {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(`${server.adminUrl}/admin/v1/clients/${id}/regenerations`, { headers });
    if ((await response.text()).includes('"state":"finished"')) return;
    await setTimeout(500);
  }
  throw new Error('the grace period has not ended');
}

async function requestToken(id: string, secret: string, { instance, address, userAgent }: Machine): Promise<void> {
  const response = await fetch(`${server.publicUrl}/oauth2/token`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${btoa(`${id}:${secret}`)}`,
      'user-agent': userAgent,
      'x-forwarded-for': address,
      'keyturn-instance': instance,
    },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  });
  if (response.status !== 200) throw new Error(await response.text());
}

/** Writes a screenshot of the page as it is to `docs/pictures/<name>.webp`. */
async function shoot(page: Page, name: string): Promise<void> {
  await sharp(await page.screenshot({ fullPage: true }))
    .webp({ quality: 80, effort: 6 })
    .toFile(join(pictures, `${name}.webp`));
}

/** Collects frames of the page, and writes them as an animated WebP. */
function createFilm(page: Page) {
  const frames: Buffer[] = [];
  const delay: number[] = [];
  return {
    /**
     * Adds a frame with a caption.
     * @param ms how long it is shown.
     * @param click selector of the element that is clicked next, which is outlined.
     * @param show selector of the element at the top of the frame.
     */
    async take(caption: string, ms: number, { click, show }: { click?: string; show?: string } = {}) {
      await page.evaluate(
        ({ caption: text, click: clicked, show: shown }) => {
          document.getElementById('caption')?.remove();
          const bar = document.createElement('div');
          bar.id = 'caption';
          bar.textContent = text;
          bar.style.cssText =
            'position:fixed;inset:auto 0 0 0;padding:14px 24px;background:#14213d;color:#fff;font:600 20px system-ui;z-index:99';
          document.body.append(bar);
          const next = clicked ? document.querySelector<HTMLElement>(clicked) : undefined;
          next?.scrollIntoView({ block: 'center' });
          if (next) next.style.outline = '4px solid #f77f00';
          if (shown) document.querySelector(shown)?.scrollIntoView({ block: 'start' });
        },
        { caption, click, show },
      );
      frames.push(await page.screenshot());
      delay.push(ms);
    },
    async write(name: string) {
      await sharp(frames, { join: { animated: true } })
        .webp({ quality: 70, effort: 6, loop: 0, delay })
        .toFile(join(pictures, `${name}.webp`));
    },
  };
}
