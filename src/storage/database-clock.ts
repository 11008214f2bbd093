/** The time of the database's clock, extrapolated with this process's monotonic clock between answers. */
export type DatabaseClock = {
  /**
   * Returns milliseconds since the epoch, or undefined before the first answer. Not affected by changes of the local
   * wall clock.
   */
  now(): number | undefined;
  /**
   * Records the database's time from an answer.
   * @param time in milliseconds since the epoch.
   * @param askedAt when the query was sent, by `performance.now()`.
   */
  observe(time: number, askedAt: number): void;
};

/** Maximum duration of an answer. For slower ones, the moment at which the database read its clock is too uncertain. */
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
