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

  /** What happened in this turn of the event loop is told at its end, each key once. */
  let happened = new Map<string, number>();

  function count(key: string): void {
    if (happened.size === 0) setImmediate(tell);
    happened.set(key, (happened.get(key) ?? 0) + 1);
  }

  function tell(): void {
    const told = happened;
    happened = new Map();
    for (const [key, times] of told) void consume(key, times);
  }

  async function consume(key: string, times: number): Promise<void> {
    const result = await limiter.consume(key, times).catch((rejected: unknown) => rejected);
    if (!(result instanceof RateLimiterRes) || result.consumedPoints < perMinute) return;
    waiting.set(key, Date.now() + result.msBeforeNext);
  }

  return {
    count,
    secondsToWait: (key) => {
      if (waiting.size === 0) return undefined;
      const ms = (waiting.get(key) ?? 0) - Date.now();
      return ms > 0 ? Math.ceil(ms / 1_000) : undefined;
    },
  };
}
