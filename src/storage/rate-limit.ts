import type { Cluster, Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

const windowSeconds = 60;
/** So many keys may wait at a time; of more, the ones that were looked at least recently are let go. */
const maxWaiting = 100_000;

/** How often something may happen in a minute, counted for each key by itself. */
export type RateLimit = {
  /**
   * Counts one, beside the request: nobody waits for it, so of what happens at the same moment a little more may pass.
   */
  count(key: string): void;
  /** In how many seconds, at least 1, this key may again; undefined: now. Asks no store. */
  secondsToWait(key: string): number | undefined;
};

/**
 * @param name what is counted, the same in all processes.
 * @param redis where all processes count together; while it is away, and without it, each counts for itself.
 */
export function createRateLimit(
  name: string,
  perMinute: number,
  { redis, prefix }: { redis: Redis | Cluster | undefined; prefix: string },
): RateLimit {
  const memory = new RateLimiterMemory({ points: perMinute, duration: windowSeconds });
  const limiter = redis
    ? new RateLimiterRedis({
        storeClient: redis,
        keyPrefix: `${prefix}limit:${name}`,
        points: perMinute,
        duration: windowSeconds,
        rejectIfRedisNotReady: true,
        insuranceLimiter: memory,
      })
    : memory;
  /** Until when each key waits. What one process finds full, the others find so when they count the next. */
  const waiting = new LRUCache<string, number>({ max: maxWaiting });

  /** Keys that the limiter is being told of, and how often each happened again meanwhile: that is told next, all in one. */
  const again = new Map<string, number>();

  function count(key: string): void {
    const times = again.get(key);
    if (times === undefined) void tell(key, 1);
    else again.set(key, times + 1);
  }

  async function tell(key: string, times: number): Promise<void> {
    again.set(key, 0);
    const result = await limiter.consume(key, times).catch((rejected: unknown) => rejected);
    const more = again.get(key) ?? 0;
    again.delete(key);
    if (more > 0) void tell(key, more);
    if (!(result instanceof RateLimiterRes) || result.consumedPoints < perMinute) return;
    waiting.set(key, performance.now() + result.msBeforeNext);
  }

  return {
    count,
    secondsToWait: (key) => {
      if (waiting.size === 0) return undefined;
      const ms = (waiting.get(key) ?? 0) - performance.now();
      return ms > 0 ? Math.ceil(ms / 1_000) : undefined;
    },
  };
}
