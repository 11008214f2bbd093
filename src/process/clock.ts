/** Returns milliseconds since the epoch. Passed to all code that compares dates, so that a test can move time. */
export type Clock = () => number;
