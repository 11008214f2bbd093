import { KeyturnError } from '../errors.ts';
import type { Log } from '../observability/log.ts';

/** Interval at which a step that has not finished is logged. */
const logEveryMs = 1_000;
/** Time limit of a step, twice the time of a first migration of the embedded database on a slow machine. */
const limitMs = 60_000;

/**
 * Awaits one step of the start. While it waits, logs what the step waits for, and afterwards how long a slow step took.
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
