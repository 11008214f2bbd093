/** A server by itself, that tells how much memory it has used. Its parent asks by IPC; `major` and `minor` collect garbage before. */
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
