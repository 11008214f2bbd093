import type { Cluster, Redis } from 'ioredis';
import { StoreUnavailable } from '../errors.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { decodeTokenRecord, encodeTokenRecord, type TokenStore } from './token-store.ts';

/** Access tokens in Redis, each under `prefix` and its SHA-256, ending by themselves with their TTL. */
export function createRedisTokenStore(
  redis: Redis | Cluster,
  { prefix = 'kt:' }: { prefix?: string } = {},
): TokenStore {
  return {
    name: 'redis',
    async save(record, now) {
      const seconds = Math.max(1, Math.ceil(record.expiresAt - now / 1_000));
      await inTime(redis.set(prefix + record.jti, encodeTokenRecord(record), 'EX', seconds));
    },
    async find(jti) {
      const text = await inTime(redis.get(prefix + jti));
      return text === null ? undefined : decodeTokenRecord(jti, text);
    },
    async remove(jti) {
      await inTime(redis.del(prefix + jti));
    },
    async ping() {
      await inTime(redis.ping());
    },
  };
}

/** A command waits for the batch before it, which may run into its time-out: the client's is not that of the request. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  return await withDeadline(
    answer.catch((error: Error) => {
      throw new StoreUnavailable('redis', error.message, error);
    }),
    'redis',
  );
}
