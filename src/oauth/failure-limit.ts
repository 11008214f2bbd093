import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { networkOf } from '../http/client-network.ts';
import type { RateLimit } from '../storage/rate-limit.ts';
import { InvalidClient, TooManyRequests } from './oauth-error.ts';

/**
 * After too many failed authentications from one address within a minute, further failures from it are answered with 429 and
 * Retry-After. Right credentials are always served, so callers that share an address (behind NAT, or behind a proxy that
 * KEYTURN_TRUST_PROXY does not name) cannot lock each other out. This helps nobody to guess: every secret, imported ones included,
 * has at least 80 bits, and a wrong one gets the same answer in the same time whatever is wrong with it.
 * @param limit undefined: there is no limit.
 */
export function createFailureLimit(limit: RateLimit | undefined, addressOf: (request: IncomingMessage) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
    } catch (error) {
      const network = error instanceof InvalidClient && limit ? networkOf(addressOf(ctx.req)) : undefined;
      if (network === undefined) throw error;
      const seconds = limit?.secondsToWait(network);
      if (seconds !== undefined) throw new TooManyRequests(seconds, 'Too many failed attempts from this address.');
      limit?.count(network);
      throw error;
    }
  };
}
