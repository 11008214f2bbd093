import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { networkOf } from '../client-network.ts';
import type { RateLimit } from '../storage/rate-limit.ts';
import { InvalidClient, TooManyRequests } from './oauth-error.ts';

/**
 * After too many failed authentications from one address, that address waits out the minute (429). It counts addresses and
 * never Client IDs, so nobody can lock an integration out from elsewhere.
 */
export type FailureLimit = {
  serve(ctx: Context, next: Next): Promise<void>;
  /** Whether `serve` would refuse this address now. */
  isWaiting(address: string): boolean;
};

/** @param limit undefined: there is none. */
export function createFailureLimit(
  limit: RateLimit | undefined,
  addressOf: (request: IncomingMessage) => string,
): FailureLimit {
  if (!limit) return { serve: (_ctx, next) => next(), isWaiting: () => false };
  return {
    serve: async (ctx, next) => {
      const network = networkOf(addressOf(ctx.req));
      const seconds = limit.secondsToWait(network);
      if (seconds !== undefined) throw new TooManyRequests(seconds, 'Too many failed attempts from this address.');
      try {
        await next();
      } catch (error) {
        if (error instanceof InvalidClient) limit.count(network);
        throw error;
      }
    },
    isWaiting: (address) => limit.secondsToWait(networkOf(address)) !== undefined,
  };
}
