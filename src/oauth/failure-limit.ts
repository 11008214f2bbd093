import type { IncomingMessage } from 'node:http';
import type { Context, Next } from 'koa';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { networkOf } from '../client-network.ts';
import { InvalidClient, TooManyFailures } from './oauth-error.ts';

const windowSeconds = 60;

/**
 * After too many failed authentications from one address, that address waits out the minute (429). It counts addresses and
 * never Client IDs, so nobody can lock an integration out from elsewhere.
 */
export type FailureLimit = {
  serve(ctx: Context, next: Next): Promise<void>;
  /** Whether `serve` would refuse this address now. */
  isWaiting(address: string): boolean;
};

export function createFailureLimit(perMinute: number, addressOf: (request: IncomingMessage) => string): FailureLimit {
  if (perMinute === 0) return { serve: (_ctx, next) => next(), isWaiting: () => false };
  const limiter = new RateLimiterMemory({ points: perMinute, duration: windowSeconds });
  /** Until when each network waits. */
  const waiting = new Map<string, number>();

  async function count(network: string): Promise<void> {
    const failures = await limiter.consume(network).catch((rejected: unknown) => {
      if (rejected instanceof RateLimiterRes) return rejected;
      throw rejected;
    });
    if (failures.consumedPoints < perMinute || waiting.has(network)) return;
    waiting.set(network, Date.now() + failures.msBeforeNext);
    setTimeout(() => waiting.delete(network), failures.msBeforeNext).unref();
  }

  return {
    serve: async (ctx, next) => {
      const network = networkOf(addressOf(ctx.req));
      const until = waiting.get(network);
      if (until !== undefined) throw new TooManyFailures(Math.max(1, Math.ceil((until - Date.now()) / 1_000)));
      try {
        await next();
      } catch (error) {
        if (error instanceof InvalidClient) await count(network);
        throw error;
      }
    },
    isWaiting: (address) => waiting.size > 0 && waiting.has(networkOf(address)),
  };
}
