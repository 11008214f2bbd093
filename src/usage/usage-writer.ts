import { StoreUnavailable } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import type { UsageCounter } from './usage-counter.ts';
import { addUsage, type NoteUse, type UsageBatch } from './usage-store.ts';

/** Writes the counts every few seconds and when it is closed. */
export type UsageWriter = {
  /** Writes now. Counts that cannot be written are kept for the next attempt. Never rejects. */
  flush(): Promise<void>;
  close(): Promise<void>;
};

const everyMs = 4_000;
/** Batches kept while the database is unavailable, about an hour of a busy process; then the oldest are dropped. */
const maxWaiting = 500;
const maxRefusals = 3;

/** Starts writing counts. @param afterwards runs whenever everything counted until then has been written. */
export function startUsageWriter(
  deps: { counter: UsageCounter; database: Database; clock: Clock; log: Log; noteUse: NoteUse },
  afterwards: () => Promise<unknown>,
): UsageWriter {
  const { counter, database, clock, log, noteUse } = deps;
  const waiting: UsageBatch[] = [];
  let running: Promise<void> = Promise.resolve();
  let refusals = 0;

  async function write(): Promise<void> {
    waiting.push(...counter.take());
    while (waiting[0]) {
      await addUsage(database, waiting[0], clock(), noteUse);
      waiting.shift();
      refusals = 0;
    }
  }

  /** A batch that the database rejects repeatedly must not block all others. */
  function giveUpRefused(error: unknown): void {
    refusals = error instanceof StoreUnavailable ? 0 : refusals + 1;
    if (refusals < maxRefusals) return;
    refusals = 0;
    waiting.shift();
    log.error({ error: (error as Error).message }, 'a batch of counts of use is refused and lost');
  }

  function flush(): Promise<void> {
    running = running.then(write).catch((error: Error) => {
      giveUpRefused(error);
      const lost = waiting.splice(0, Math.max(0, waiting.length - maxWaiting)).length;
      log.warn({ error: error.message, waiting: waiting.length, lost }, 'counts of use cannot be written');
    });
    return running;
  }

  const timer = setInterval(() => {
    running = flush()
      // Counts that still wait may show that a secret is in use, so nothing is concluded from what the database has.
      .then(() => (waiting.length === 0 ? afterwards() : undefined))
      .then(
        () => undefined,
        (error: Error) => log.warn({ error: error.message }, 'overlaps were not looked after'),
      );
  }, everyMs);
  timer.unref();

  return {
    flush,
    close: async () => {
      clearInterval(timer);
      await flush();
      if (waiting.length > 0) log.error({ batches: waiting.length }, 'counts of use are lost');
    },
  };
}
