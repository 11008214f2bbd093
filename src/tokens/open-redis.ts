import type { Log } from '../observability/log.ts';

/** Connects to Redis. Its client is loaded only then, because most commands do without it. */
export async function openRedis(url: string, log: Log) {
  const { connectRedis } = await import('../storage/redis.ts');
  const { createRedisCompleteness, createRedisTokenStore } = await import('./redis-token-store.ts');
  return { redis: await connectRedis(url, log), createRedisCompleteness, createRedisTokenStore };
}
