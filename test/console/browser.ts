import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Debian's, and where others put it. */
const programs = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env['CHROMIUM'] ?? programs.find((program) => existsSync(program));

/** Without a browser on the machine, what needs one is told as skipped. */
export const describeInBrowser = executablePath ? describe : describe.skip;

export async function launchBrowser(): Promise<Browser> {
  if (!executablePath) throw new Error('there is no browser');
  return await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
