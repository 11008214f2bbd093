/**
 * Process that delivers notices endlessly, after it receives a line on standard input: the milliseconds by which its clock
 * is ahead. Each turn is an hour and a minute later, so that one thing makes a mail in each. `delivery-kills.test.ts` kills it.
 */

import { flushCompileCache } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import { readConfig } from '../../src/config.ts';
import { openCore } from '../../src/core.ts';
import { createLog } from '../../src/observability/log.ts';

let ahead = 0;
const core = await openCore(readConfig(), createLog('silent'), { clock: () => Date.now() + ahead });
// A killed process does not write its compiled code at its end.
flushCompileCache();
process.stdout.write('ready\n');
ahead = Number(await new Promise((resolve) => process.stdin.once('data', resolve)));
for (;;) {
  await core.notices.turn();
  ahead += 61 * 60_000;
  await delay(20);
}
