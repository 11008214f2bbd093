import type { Cluster, Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';

const windowSeconds = 60;
/** Maximum number of keys that wait at a time. Beyond it, the least recently used ones are dropped. */
const maxWaiting = 100_000;

/** A limit of events per minute for each key. */
export type RateLimit = {
  /** Counts one event in the background, so concurrent requests may slightly exceed the limit. */
  count(key: string): void;
  /** Returns the seconds until this key is below its limit, at least 1, or undefined if it is now. Queries no store. */
  secondsToWait(key: string): number | undefined;
};

/**
 * Creates a rate limit.
 * @param name identifies the counter, the same in all processes.
 * @param redis shares the count between processes; without it, or while it cannot be reached, each process counts
 * alone.
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
  /** The time until which each key waits. Other processes find a full counter at their own next count. */
  const waiting = new LRUCache<string, number>({ max: maxWaiting });

  /** Keys whose count is being sent, each with the number of events since, which are sent together afterwards. */
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
