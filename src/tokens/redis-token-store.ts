import type { Cluster, Redis } from 'ioredis';
import { StoreUnavailable } from '../errors.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { createWriteTogether } from '../storage/write-together.ts';
import { decodeTokenRecord, encodeTokenRecord, type TokenStore } from './token-store.ts';

/** Access tokens in Redis, each under `prefix` and its SHA-256, ending by themselves with their TTL. */
export function createRedisTokenStore(
  redis: Redis | Cluster,
  { prefix = 'kt:' }: { prefix?: string } = {},
): TokenStore {
  // A cluster's connections are several; there ioredis collects the commands itself.
  const writeTogether = redis.isCluster ? () => undefined : createWriteTogether(redis as Redis);
  return {
    name: 'redis',
    async save(record, now) {
      const seconds = Math.max(1, Math.ceil(record.expiresAt - now / 1_000));
      writeTogether();
      await inTime(redis.set(prefix + record.jti, encodeTokenRecord(record), 'EX', seconds));
    },
    async find(jti) {
      writeTogether();
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

/** The client gives up a command later than a request can wait for it. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  return await withDeadline(
    answer.catch((error: Error) => {
      throw new StoreUnavailable('redis', error.message, error);
    }),
    'redis',
  );
}
