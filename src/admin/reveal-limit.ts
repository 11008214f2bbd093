import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { TooManyRequests } from '../errors.ts';

const perMinute = 30;

/**
 * Limits how many secrets one operator can reveal per minute, so that a stolen operator token cannot read all of them
 * quickly. Counted in this process.
 */
export function createRevealLimit(): (operator: string) => Promise<void> {
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  return async (operator) => {
    await limiter.consume(operator).catch((rejected: unknown) => {
      if (!(rejected instanceof RateLimiterRes)) throw rejected;
      const seconds = Math.max(1, Math.ceil(rejected.msBeforeNext / 1_000));
      throw new TooManyRequests(
        `You can show at most ${perMinute} secrets per minute. Try again in ${seconds} seconds.`,
        seconds,
      );
    });
  };
}
