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
      throw new KeyturnError('temporarily_unavailable', 503, 'The clocks of server and database differ.', {
        detail: `this process's clock is ${seconds} s ahead of the database's; let both machines follow NTP`,
      });
    },
  };
}
