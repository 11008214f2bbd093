import type { Log } from '../observability/log.ts';

/**
 * Does work again and again, one run at a time. A failed run is logged as a warning, and the next one follows.
 * @param failure the event that is logged, such as `failed to delete expired rows`.
 * @returns a function that stops it and waits for the last run.
 */
export function repeatWork(work: () => Promise<void>, everyMs: number, log: Log, failure: string): () => Promise<void> {
  let running: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    running = running.then(work).catch((error: Error) => log.warn({ error: error.message }, failure));
  }, everyMs);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await running;
  };
}
