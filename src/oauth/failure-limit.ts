import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { TooManyRequests } from '../errors.ts';
import { networkOf } from '../http/client-address.ts';
import type { RateLimit } from '../storage/rate-limit.ts';
import { InvalidClient } from './oauth-error.ts';

/**
 * Limits failed authentications. After too many from one address within a minute, further failures are answered with
 * 429 and Retry-After. Valid credentials are always accepted, so callers that share an address (behind NAT, or behind a
 * proxy that KEYTURN_TRUST_PROXY does not name) cannot lock each other out. This does not make guessing easier: every
 * secret whose strength is known has at least 80 bits, and every wrong one gets the same answer in the same time.
 * Attempts at imported secrets of which only a hash is known are counted before they are verified (first-use.ts).
 * @param limit undefined if failures are not limited.
 */
export function createFailureLimit(limit: RateLimit | undefined, addressOf: (request: IncomingMessage) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
    } catch (error) {
      if (error instanceof InvalidClient && !error.isCounted) countFailedAttempt(limit, addressOf(ctx.req));
      throw error;
    }
  };
}

/**
 * Counts a failed authentication of an address. @returns a function that takes it back.
 * @throws {TooManyRequests} if there were too many in this minute.
 */
export function countFailedAttempt(limit: RateLimit | undefined, address: string): () => void {
  const network = limit && networkOf(address);
  if (network === undefined) return () => undefined;
  const seconds = limit?.secondsToWait(network);
  if (seconds !== undefined)
    throw new TooManyRequests('Too many failed attempts from this address. Try again later.', seconds);
  limit?.count(network);
  return () => limit?.takeBack(network);
}
