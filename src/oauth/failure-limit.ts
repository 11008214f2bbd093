import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { networkOf } from '../http/client-network.ts';
import type { RateLimit } from '../storage/rate-limit.ts';
import { InvalidClient, TooManyRequests } from './oauth-error.ts';

/**
 * Limits failed authentications. After too many from one address within a minute, further failures are answered with
 * 429 and Retry-After. Valid credentials are always accepted, so callers that share an address (behind NAT, or behind a
 * proxy that KEYTURN_TRUST_PROXY does not name) cannot lock each other out. This does not make guessing easier: every
 * secret, including imported ones, has at least 80 bits, and every wrong one gets the same answer in the same time.
 * @param limit undefined if failures are not limited.
 */
export function createFailureLimit(limit: RateLimit | undefined, addressOf: (request: IncomingMessage) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
    } catch (error) {
      const network = error instanceof InvalidClient && limit ? networkOf(addressOf(ctx.req)) : undefined;
      if (network === undefined) throw error;
      const seconds = limit?.secondsToWait(network);
      if (seconds !== undefined)
        throw new TooManyRequests(seconds, 'Too many failed attempts from this address. Try again later.');
      limit?.count(network);
      throw error;
    }
  };
}
