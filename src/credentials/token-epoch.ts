import { randomInt } from 'node:crypto';

/** Fits PostgreSQL's `integer`. Epochs of earlier versions were counted and stay below. */
export const lowestTokenEpoch = 2 ** 30;
/** Number of different epochs. */
export const tokenEpochs = 2 ** 30;

/**
 * Returns a new epoch for the tokens of a client or access key. It is random, because a counter would repeat a value after a
 * standby was promoted without the last commits, and tokens that ended would live again.
 */
export function newTokenEpoch(): number {
  return randomInt(lowestTokenEpoch, lowestTokenEpoch + tokenEpochs);
}
