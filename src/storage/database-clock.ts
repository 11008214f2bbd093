/** The time by the database's clock, kept by this process's monotonic clock between the database's answers. */
export type DatabaseClock = {
  /** Milliseconds since the epoch; undefined before the first answer. A wall clock that jumps does not change it. */
  now(): number | undefined;
  /**
   * Takes what an answer of the database said.
   * @param time the database's time, in milliseconds since the epoch.
   * @param askedAt when it was asked, by `performance.now()`.
   */
  observe(time: number, askedAt: number): void;
};

/** An answer that took longer says too little about when the database read its clock. */
const maxAnswerMs = 1_000;

export function createDatabaseClock(): DatabaseClock {
  /** The database's time at the origin of the monotonic clock. */
  let origin: number | undefined;
  return {
    now: () => (origin === undefined ? undefined : origin + performance.now()),
    observe: (time, askedAt) => {
      const tookMs = performance.now() - askedAt;
      if (origin === undefined || tookMs <= maxAnswerMs) origin = time - askedAt - tookMs / 2;
    },
  };
}
