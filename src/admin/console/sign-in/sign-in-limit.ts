import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { networkOf } from '../../../client-network.ts';
import { TooManyRequests } from '../../problem.ts';

const perMinute = 10;

/** Bounds how often one address can try to sign in; what succeeds does not count. In this process. */
export function createSignInLimit() {
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  /** @throws {TooManyRequests} */
  return async <T>(address: string, attempt: () => Promise<T>): Promise<T> => {
    const network = networkOf(address);
    await limiter.consume(network).catch((rejected: unknown) => {
      if (!(rejected instanceof RateLimiterRes)) throw rejected;
      const seconds = Math.max(1, Math.ceil(rejected.msBeforeNext / 1_000));
      throw new TooManyRequests(`Too many attempts from your address. Try again in ${seconds} seconds.`, seconds);
    });
    const result = await attempt();
    await limiter.reward(network);
    return result;
  };
}
