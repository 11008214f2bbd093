import { KeyturnError } from '../errors.ts';
import type { Log } from '../observability/log.ts';

/** A step that takes longer is logged, and again after every such time. */
const logEveryMs = 1_000;
/** A first migration of the embedded database on a slow machine takes half of this. */
const limitMs = 60_000;

/**
 * Awaits one step of the start. Logs what the start waits for while it waits, and how long a slow step took.
 * @param waitsFor the step in a few words, such as `the change feed`.
 * @throws {KeyturnError} after a minute, so that a restart policy can act.
 */
export async function startStep<T>(log: Log, waitsFor: string, work: Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const elapsed = () => Math.round(performance.now() - startedAt);
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      log.warn({ waits_for: waitsFor, elapsed_ms: elapsed() }, 'start is waiting');
      if (elapsed() > limitMs) {
        reject(new KeyturnError('start_timeout', 503, `The start waited ${limitMs / 1_000} s for ${waitsFor}.`));
      }
    }, logEveryMs);
  });
  try {
    const result = await Promise.race([work, limit]);
    if (elapsed() > logEveryMs) log.info({ waited_for: waitsFor, elapsed_ms: elapsed() }, 'start continues');
    return result;
  } finally {
    clearInterval(timer);
  }
}
