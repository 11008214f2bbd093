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
