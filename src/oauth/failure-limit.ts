import { isIPv6 } from 'node:net';
import type { Context, Next } from 'koa';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { InvalidClient, TooManyFailures } from './oauth-error.ts';

const windowSeconds = 60;

/**
 * After too many failed authentications from one address, that address waits out the minute (429). It counts addresses and
 * never Client IDs, so nobody can lock an integration out from elsewhere.
 */
export function limitFailures(perMinute: number, addressOf: (ctx: Context) => string) {
  if (perMinute === 0) return (_ctx: Context, next: Next) => next();
  const limiter = new RateLimiterMemory({ points: perMinute, duration: windowSeconds });
  return async (ctx: Context, next: Next): Promise<void> => {
    const key = networkOf(addressOf(ctx));
    const failures = await limiter.get(key);
    if (failures && failures.consumedPoints >= perMinute) throw tooManyFailures(failures);
    try {
      await next();
    } catch (error) {
      if (error instanceof InvalidClient) {
        await limiter.consume(key).catch((rejected: unknown) => {
          if (!(rejected instanceof RateLimiterRes)) throw rejected;
        });
      }
      throw error;
    }
  };
}

function tooManyFailures({ msBeforeNext }: RateLimiterRes): TooManyFailures {
  return new TooManyFailures(Math.max(1, Math.ceil(msBeforeNext / 1_000)));
}

/** One host has a whole IPv6 /64 to call from. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address;
  const [head = '', tail] = address.split('::');
  const left = head ? head.split(':') : [];
  const right = tail ? tail.split(':') : [];
  const groups = tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right];
  return groups.slice(0, 4).join(':');
}
