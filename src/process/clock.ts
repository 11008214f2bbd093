import { KeyturnError } from '../errors.ts';

/** Returns milliseconds since the epoch. Passed to all code that compares dates, so that a test can move time. */
export type Clock = () => number;

/**
 * Compares this process's clock with the database's. If they differ, one of them is wrong and tokens would expire at
 * the wrong time.
 */
export type ClockCheck = {
  /**
   * Returns the milliseconds by which this process's clock is ahead of the database's; 0 before the database has
   * responded.
   */
  differenceMs(): number;
  isRight(): boolean;
  /** @throws {KeyturnError} 503 if the clocks differ by more than five seconds. */
  requireRight(): void;
};

const maxDifferenceMs = 5_000;

/** @param databaseTime returns the database's time in milliseconds since the epoch, advanced by a monotonic clock. */
export function createClockCheck(clock: Clock, databaseTime: () => number | undefined): ClockCheck {
  const differenceMs = () => clock() - (databaseTime() ?? clock());
  const isRight = () => Math.abs(differenceMs()) <= maxDifferenceMs;
  return {
    differenceMs,
    isRight,
    requireRight: () => {
      if (isRight()) return;
      const seconds = (differenceMs() / 1_000).toFixed(1);
      throw new KeyturnError(
        'temporarily_unavailable',
        503,
        'Service unavailable: the clocks of the server and the database differ.',
        {
          detail: `this process's clock is ${seconds} s ahead of the database's; let both machines follow NTP`,
        },
      );
    },
  };
}

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
