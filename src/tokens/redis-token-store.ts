import type { Cluster, Redis } from 'ioredis';
import { StoreUnavailable } from '../errors.ts';
import { createRedisCommands, type RedisCommands } from '../storage/redis-commands.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { TokenRecordCodec } from './token-record-codec.ts';
import type { TokenStore } from './token-store.ts';

/** Stores access tokens in Redis, each under `prefix` and its SHA-256. Redis deletes them when they expire. */
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
 * Creates the commands for a cluster, whose connections ioredis chooses, following MOVED and ASK. Commands are sent one
 * at a time: in a batch (autopipelining), a redirected command fails if others of the batch are not redirected.
 */
function clusterCommands(cluster: Cluster): RedisCommands {
  return {
    set: async (key, value, seconds) => void (await inTime(cluster.set(key, value, 'EX', seconds))),
    get: (key) => inTime(cluster.getBuffer(key)),
  };
}

/** Limits the wait for an answer, because ioredis retries a command for longer than a request can wait. */
async function inTime<T>(answer: Promise<T>): Promise<T> {
  return await withDeadline(
    answer.catch((error: Error) => {
      throw new StoreUnavailable('redis', error.message, error);
    }),
    'redis',
  );
}
