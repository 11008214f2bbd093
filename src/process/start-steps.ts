import { KeyturnError } from '../errors.ts';
import type { Log } from '../observability/log.ts';

/** The steps of the start of one process. */
export type StartSteps = {
  /**
   * Awaits one step. While it waits, logs what the step waits for, and afterwards how long a slow step took.
   * @param waitsFor the step in a few words, such as `the change feed`.
   * @param limitMs time limit of the step, in milliseconds. The default is a minute.
   * @throws {KeyturnError} after the limit, so that a restart policy can act.
   */
  run<T>(waitsFor: string, work: Promise<T>, limitMs?: number): Promise<T>;
  /** Returns what the start waits for now. */
  waitsFor(): string[];
};

/** Interval at which a step that has not finished is logged. */
const logEveryMs = 1_000;
/** Time limit of a step that waits for another process. */
const waitLimitMs = 60_000;

export function createStartSteps(log: Log): StartSteps {
  const running = new Set<string>();
  return {
    waitsFor: () => [...running],
    async run(waitsFor, work, limitMs = waitLimitMs) {
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
      running.add(waitsFor);
      try {
        const result = await Promise.race([work, limit]);
        if (elapsed() > logEveryMs) log.info({ waited_for: waitsFor, elapsed_ms: elapsed() }, 'start continues');
        return result;
      } finally {
        running.delete(waitsFor);
        clearInterval(timer);
      }
    },
  };
}
