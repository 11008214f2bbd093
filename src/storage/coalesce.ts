/** Work of which at most one run is in progress. */
export type Coalesced = {
  /** Starts a run, or joins the next one: what a caller saw before the call is seen by the run that it waits for. */
  run(): Promise<void>;
  /** Resolves when no run is in progress. */
  idle(): Promise<void>;
};

/** Callers during a run share the one after it. */
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
