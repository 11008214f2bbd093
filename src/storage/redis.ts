import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { StoreUnavailable, UsageError } from '../errors.ts';
import type { Log } from '../log.ts';

/**
 * When a command is given up. Whoever waits for it has given up sooner (with-deadline.ts), but takes an answer that is late only
 * because this process was busy.
 */
const commandTimeoutMs = 1_000;

const options = {
  commandTimeout: commandTimeoutMs,
  connectTimeout: 2_000,
  socketTimeout: 5_000,
  maxRetriesPerRequest: 1,
  // Down is down: a command that waits for a connection would be answered long after its request.
  enableOfflineQueue: false,
  retryStrategy: (attempt: number) => Math.min(50 * attempt, 1_000),
  lazyConnect: true,
} satisfies RedisOptions;

/**
 * Connects to `redis://`, `rediss://`, `redis+sentinel://host,host/name` or `redis+cluster://host,host`, and reconnects by itself.
 * @throws {StoreUnavailable} when it cannot be reached now.
 * @throws {UsageError} when it may evict: a token that is thrown out early would be a wrong "inactive".
 */
export async function connectRedis(url: string, log: Log): Promise<Redis | Cluster> {
  const redis = create(url);
  let down = false;
  let lastError: Error | undefined;
  redis.on('error', (error: Error) => {
    lastError = error;
    if (!down) log.warn({ error: error.message }, 'Redis is not reachable');
    down = true;
  });
  redis.on('ready', () => {
    if (down) log.info('Redis is reachable again');
    down = false;
  });
  try {
    await redis.connect();
  } catch (error) {
    redis.disconnect();
    // The connection's own error says why; what `connect` rejects with says only that it closed.
    const cause = lastError ?? (error as Error);
    throw new StoreUnavailable('redis', cause.message, cause);
  }
  const policy = await evictionPolicy(redis);
  if (policy && policy !== 'noeviction') {
    redis.disconnect();
    throw new UsageError(
      `Redis has maxmemory-policy ${policy} and may throw live tokens away. Set it to noeviction: CONFIG SET maxmemory-policy noeviction`,
    );
  }
  return redis;
}

/** INFO tells it, where CONFIG is often forbidden; undefined where the server does not say. */
async function evictionPolicy(redis: Redis | Cluster): Promise<string | undefined> {
  const info = await redis.info('memory');
  return /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
}

function create(url: string): Redis | Cluster {
  const [, scheme = '', variant, rest = ''] = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(.*)$/s.exec(url) ?? [];
  if (!variant) return new Redis(url, options);
  const [authority = '', path = ''] = rest.split('/');
  const at = authority.lastIndexOf('@');
  const [username, password] = (at === -1 ? '' : authority.slice(0, at)).split(':').map(decodeURIComponent);
  const hosts = authority.slice(at + 1).split(',');
  const nodes = hosts.map((host) => {
    const { hostname, port } = new URL(`http://${host}`);
    return { host: hostname, port: Number(port || (variant === 'sentinel' ? 26_379 : 6_379)) };
  });
  const shared = {
    ...options,
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(scheme === 'rediss' ? { tls: {} } : {}),
  };
  if (variant === 'cluster') {
    return new Cluster(nodes, {
      redisOptions: shared,
      enableOfflineQueue: false,
      lazyConnect: true,
      enableAutoPipelining: true,
    });
  }
  return new Redis({ ...shared, sentinels: nodes, name: path || 'mymaster' });
}
