import type { Cluster, Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { createGrowingCache } from './growing-cache.ts';

const windowSeconds = 60;
/** Maximum number of keys whose windows are kept. Beyond it, the least recently used ones are dropped. */
const maxWindows = 100_000;

/** Limits how often something may happen in a minute, separately for each key. */
export type RateLimit = {
  /** Counts one event. In this process it takes effect at once; Redis is updated in the background. */
  count(key: string): void;
  /** Takes back one event that was counted, and that did not happen in the end. */
  takeBack(key: string): void;
  /**
   * Returns the seconds until this key is allowed again, at least 1, or undefined if it is allowed now. Reads memory
   * only.
   */
  secondsToWait(key: string): number | undefined;
  /** Returns the known events of a key in the current minute, and the seconds until it ends. Reads memory only. */
  windowOf(key: string): { count: number; seconds: number };
};

/** The state of one key in the current minute. */
type Window = {
  /** All known events: those of this process, and those of others as of Redis's last answer. */
  count: number;
  /** On the clock of `performance.now()`. */
  endsAt: number;
  /** Events of this process that are not yet counted in Redis; negative if more were taken back. */
  unreported: number;
  isReporting: boolean;
};

/**
 * Creates a rate limit that is exact within this process and includes what other processes reported to Redis.
 * @param name what is counted, the same in all processes.
 * @param redis where all processes count together. Without it, or while it does not answer, each process counts alone.
 */
export function createRateLimit(
  name: string,
  perMinute: number,
  { redis, prefix }: { redis: Redis | Cluster | undefined; prefix: string },
): RateLimit {
  const shared =
    redis &&
    new RateLimiterRedis({
      storeClient: redis,
      keyPrefix: `${prefix}limit:${name}`,
      points: perMinute,
      duration: windowSeconds,
      rejectIfRedisNotReady: true,
    });
  const windows = createGrowingCache<string, Window>(maxWindows);

  function currentWindow(key: string): Window {
    const now = performance.now();
    const window = windows.get(key) ?? { count: 0, endsAt: 0, unreported: 0, isReporting: false };
    if (window.endsAt <= now) {
      window.count = 0;
      window.endsAt = now + windowSeconds * 1_000;
    }
    windows.set(key, window);
    return window;
  }

  /** Reports events one request at a time; those that happen meanwhile are reported together. */
  async function report(limiter: RateLimiterRedis, key: string, window: Window): Promise<void> {
    if (window.isReporting) return;
    window.isReporting = true;
    while (window.unreported !== 0) {
      const times = window.unreported;
      window.unreported = 0;
      // The limiter rejects with its result if the limit is exceeded.
      const reported = times > 0 ? limiter.consume(key, times) : limiter.reward(key, -times);
      const result = await reported.catch((rejected: unknown) => rejected);
      if (!(result instanceof RateLimiterRes)) continue;
      // The count never falls within a window, so a Redis that lost its data does not raise the limit.
      window.count = Math.max(window.count, result.consumedPoints + window.unreported);
      // The minute ends for all processes together: when it does for the first one that counted.
      window.endsAt = Math.min(window.endsAt, performance.now() + result.msBeforeNext);
    }
    window.isReporting = false;
  }

  function add(key: string, events: number): void {
    const window = currentWindow(key);
    window.count = Math.max(0, window.count + events);
    if (!shared) return;
    window.unreported += events;
    void report(shared, key, window);
  }

  return {
    count: (key) => add(key, 1),
    takeBack: (key) => add(key, -1),
    secondsToWait: (key) => {
      const window = windows.get(key);
      if (!window || window.count < perMinute) return undefined;
      const ms = window.endsAt - performance.now();
      return ms > 0 ? Math.ceil(ms / 1_000) : undefined;
    },
    windowOf: (key) => {
      const { count, endsAt } = currentWindow(key);
      return { count, seconds: Math.max(1, Math.ceil((endsAt - performance.now()) / 1_000)) };
    },
  };
}
