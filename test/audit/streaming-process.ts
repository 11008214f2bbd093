/**
 * Process that sends the audit log to `KEYTURN_AUDIT_STREAMS` endlessly. `audit-streams.test.ts` kills it.
 */
import { flushCompileCache } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import { createAuditStreams } from '../../src/audit/stream-audit-log.ts';
import { readConfig } from '../../src/config.ts';
import { openCore } from '../../src/core.ts';
import { createLog } from '../../src/observability/log.ts';

const config = readConfig();
const core = await openCore(config, createLog('silent'));
// A killed process does not write its compiled code at its end.
flushCompileCache();
const streams = createAuditStreams({ ...core, auditStreams: config.auditStreams });
process.stdout.write('ready\n');
for (;;) {
  await streams.turn();
  await delay(20);
}
