import type { KeyRing } from '../credentials/key-ring.ts';
import type { Log } from '../observability/log.ts';
import type { Queryable } from '../storage/database.ts';
import { currentCheckpoint } from './outside-checkpoint.ts';

const everyMs = 3_600_000;

/**
 * Writes a checkpoint of the audit log to the server's own log, at once and then every hour if there are new events.
 * Logs are usually collected outside the database, where a user of the database cannot change them.
 * @returns a function that stops it.
 */
export function logCheckpoints(database: Queryable, ring: KeyRing, log: Log): () => void {
  let last: string | undefined;
  const write = async () => {
    const checkpoint = await currentCheckpoint(database, ring);
    if (checkpoint === undefined) {
      log.error('audit log tampered with: its recorded end is not what was written; run `keyturn audit verify`');
    } else if (checkpoint !== last) log.info({ checkpoint }, 'audit checkpoint');
    last = checkpoint;
  };
  // Errors are not logged if the database does not respond: the next hour's checkpoint covers this one.
  const tick = () => void write().catch(() => undefined);
  tick();
  const timer = setInterval(tick, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
