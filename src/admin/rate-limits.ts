import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import { networkOf } from '../http/client-address.ts';

/**
 * Runs an authentication attempt from an address, and counts it as failed if it throws a KeyturnError of status 401.
 * @throws {TooManyRequests} instead of the 401 after too many failures.
 */
export type AttemptLimit = <T>(address: string, attempt: () => Promise<T>) => Promise<T>;

/**
 * Limits the failed attempts per minute and network, counted in this process. Valid credentials always pass, so the
 * failures of other callers behind the same proxy do not lock anyone out.
 * @param perMinute 0 disables the limit.
 */
export function createAttemptLimit(perMinute: number): AttemptLimit {
  if (perMinute === 0) return (_address, attempt) => attempt();
  const limiter = new RateLimiterMemory({ points: perMinute, duration: 60 });
  return async (address, attempt) => {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof KeyturnError) || error.status !== 401) throw error;
      const network = networkOf(address);
      if (network === undefined) throw error;
      await limiter.consume(network).catch((rejected: unknown) => {
        if (!(rejected instanceof RateLimiterRes)) throw rejected;
        const seconds = Math.max(1, Math.ceil(rejected.msBeforeNext / 1_000));
        throw new TooManyRequests(
          `Too many failed attempts from your address. Try again in ${seconds} seconds.`,
          seconds,
        );
      });
      throw error;
    }
  };
}

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
