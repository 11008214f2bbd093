/** Milliseconds since the epoch. Handed to whoever compares dates, so that a test can move time. */
export type Clock = () => number;
