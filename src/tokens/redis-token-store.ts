import type { Cluster, Redis } from 'ioredis';
import { StoreUnavailable } from '../errors.ts';
import { createRedisCommands, type RedisCommands } from '../storage/redis-commands.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { TokenRecordCodec } from './token-record-codec.ts';
import type { TokenStore } from './token-store.ts';

/** Stores access tokens in Redis, each under `prefix` and its SHA-256. Redis deletes them at their end. */
export function createRedisTokenStore(
  redis: Redis | Cluster,
  codec: TokenRecordCodec,
  { prefix = 'kt:' }: { prefix?: string } = {},
): TokenStore {
  const commands = redis.isCluster ? clusterCommands(redis as Cluster) : createRedisCommands(redis as Redis);
  return {
    name: 'redis',
    save(record, now) {
      const seconds = Math.max(1, Math.ceil(record.expiresAt - now / 1_000));
      return commands.set(prefix + record.jti, codec.encode(record), seconds);
    },
    find: (jti) =>
      commands.get(prefix + jti).then((text) => (text === null ? undefined : codec.decode(jti, text.toString()))),
    async remove(jti) {
      await inTime(redis.del(prefix + jti));
    },
    async ping() {
      await inTime(redis.ping());
    },
  };
}

/**
 * A cluster's connections are several: ioredis finds the right one, and follows MOVED and ASK. One by one: in a batch (autopipelining) a
 * command that is redirected fails where others of it are not.
 */
function clusterCommands(cluster: Cluster): RedisCommands {
  return {
    set: async (key, value, seconds) => void (await inTime(cluster.set(key, value, 'EX', seconds))),
    get: (key) => inTime(cluster.getBuffer(key)),
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
