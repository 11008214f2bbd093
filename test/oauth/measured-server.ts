/** A server by itself, that tells how much memory it has used. Its parent asks by IPC; `collect` collects garbage before. */
import { openSync } from 'node:fs';
import { readConfig } from '../../src/config.ts';
import { openCore } from '../../src/core.ts';
import { createLog } from '../../src/log.ts';
import { startServer } from '../../src/server.ts';

const config = readConfig(process.env);
const core = await openCore(config, createLog('info', openSync('/dev/null', 'w')));
const { publicUrl } = await startServer(core);
process.on('message', (asked) => {
  if (asked === 'collect') globalThis.gc?.();
  process.send?.(process.memoryUsage().heapUsed);
});
process.on('disconnect', () => process.exit());
process.send?.(publicUrl);
