import { setTimeout as delay, setImmediate } from 'node:timers/promises';

/** A task of which at most one run is in progress. */
export type Coalesced = {
  /** Starts a run, or waits for the one after the current run, so that the run always begins after the call. */
  run(): Promise<void>;
  /** Resolves when no run is in progress. */
  idle(): Promise<void>;
};

/** Combines concurrent calls of a task: all calls during a run share the next run. */
export function coalesce(work: () => Promise<void>): Coalesced {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  function run(): Promise<void> {
    if (!running) {
      running = work().finally(() => {
        running = undefined;
      });
      return running;
    }
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return run();
      });
    return next;
  }

  return {
    run,
    idle: async () => {
      while (next ?? running) await (next ?? running)?.catch(() => undefined);
    },
  };
}

/**
 * Returns a function whose calls of one turn share one run of `work`. A turn lasts at least until pending requests were
 * handled, and begins at least `everyMs` after the one before, so the number of runs per second is limited.
 * @param isNeeded returns whether `work` must run for a caller that needs everything that happened until `since`, by
 * `performance.now()`. It is evaluated at the end of the turn for the latest `since`.
 */
export function shareTurns(
  work: () => Promise<void>,
  isNeeded: (since: number) => boolean,
  everyMs: number,
): (since: number) => Promise<void> {
  let turn: { done: Promise<void>; since: number } | undefined;
  let endedAt = Number.NEGATIVE_INFINITY;

  async function end(): Promise<void> {
    const waitMs = endedAt + everyMs - performance.now();
    await (waitMs > 0 ? delay(waitMs) : setImmediate());
    const since = turn?.since ?? Number.POSITIVE_INFINITY;
    turn = undefined;
    endedAt = performance.now();
    if (isNeeded(since)) await work();
  }

  return (since) => {
    turn ??= { done: end(), since };
    turn.since = Math.max(turn.since, since);
    return turn.done;
  };
}
