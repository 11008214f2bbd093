/**
 * A server in its own process that reports its memory use to its parent by IPC; `major` and `minor` first collect
 * garbage.
 */
import { openSync } from 'node:fs';
import { readConfig } from '../../src/config.ts';
import { openCore } from '../../src/core.ts';
import { createLog } from '../../src/observability/log.ts';
import { startServer } from '../../src/server.ts';

const config = readConfig(process.env);
const core = await openCore(config, createLog('info', openSync('/dev/null', 'w')));
const { publicUrl } = await startServer(core);
process.on('message', (asked) => {
  if (asked !== 'now') globalThis.gc?.({ type: asked as 'major' | 'minor' });
  process.send?.(process.memoryUsage().heapUsed);
});
process.on('disconnect', () => process.exit());
process.send?.(publicUrl);
