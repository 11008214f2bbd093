import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

/** Paths of Chromium on Debian and other distributions. */
const programs = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env['CHROMIUM'] ?? programs.find((program) => existsSync(program));

/** Skips tests that need a browser if none is installed. */
export const describeInBrowser = executablePath ? describe : describe.skip;

export async function launchBrowser(): Promise<Browser> {
  if (!executablePath) throw new Error('there is no browser');
  return await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}
