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
    find: (jti) => commands.get(prefix + jti).then((value) => (value === null ? undefined : codec.decode(jti, value))),
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

/**
 * Finds out whether Redis still stores every live token, so that an unknown token was never issued or has expired.
 *
 * A marker in Redis contains the server process that it was written to. It is missing after Redis was emptied, and
 * contains another process after a restart or failover; in each case Redis may have lost tokens. The result is then
 * false until the last of those tokens would have expired, by Redis's own clock.
 *
 * The result is always false with Sentinel and in a cluster, because a primary that was cut off does not receive the
 * tokens that its successor stores.
 */
type RedisCompleteness = {
  /** @throws {StoreUnavailable} */
  isComplete(): Promise<boolean>;
  /** Writes the marker of a deployment that has not issued any token. */
  begin(): Promise<void>;
};

/** Allows for clocks that run at different speeds. */
const leewaySeconds = 60;

/** @param lifetimeSeconds the longest lifetime of any token that may be live. */
export function createRedisCompleteness(
  redis: Redis | Cluster,
  { prefix, lifetimeSeconds }: { prefix: string; lifetimeSeconds: () => number },
): RedisCompleteness {
  const marker = `${prefix}complete:server`;
  const recent = `${prefix}complete:recent`;
  const hasSuccessors = redis.isCluster || Boolean((redis as Redis).options.sentinels);

  async function readServer(): Promise<string | undefined> {
    return /^run_id:(\w+)/m.exec(await redis.info('server'))?.[1];
  }

  async function check(): Promise<boolean> {
    const server = await readServer();
    if (server === undefined) return false;
    const [known, isRecent] = await redis.mget(marker, recent);
    if (known === server) return isRecent === null;
    await redis.set(recent, '1', 'EX', lifetimeSeconds() + leewaySeconds);
    await redis.set(marker, server);
    return false;
  }

  // Check on every new connection: the earlier a loss of tokens is noted, the earlier they count as expired.
  if (!hasSuccessors) redis.on('ready', () => void check().catch(() => undefined));
  return {
    isComplete: async () => {
      if (hasSuccessors) return false;
      return await inTime(check());
    },
    begin: async () => {
      const server = hasSuccessors ? undefined : await readServer();
      if (server !== undefined) await redis.set(marker, server);
    },
  };
}
