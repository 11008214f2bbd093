import { randomInt } from 'node:crypto';

/** The lowest epoch. The range fits PostgreSQL's `integer`; epochs of earlier versions were counters and are lower. */
export const lowestTokenEpoch = 2 ** 30;
/** Number of different epochs. */
export const tokenEpochs = 2 ** 30;

/**
 * Returns a new epoch for the tokens of a client or access key. It is random, because a counter would repeat a value
 * after a promoted standby lacked the last commits, and revoked tokens would be valid again.
 */
export function newTokenEpoch(): number {
  return randomInt(lowestTokenEpoch, lowestTokenEpoch + tokenEpochs);
}
