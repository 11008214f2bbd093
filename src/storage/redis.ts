import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { StoreUnavailable, UsageError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readRedisUrl } from '../redis-url.ts';
import { watchSentinels } from './watch-sentinels.ts';

/**
 * When a command is given up. Whoever waits for it has given up sooner (with-deadline.ts), but takes an answer that is late only
 * because this process was busy.
 */
const commandTimeoutMs = 1_000;
/** How often a cluster is asked who has which slots: a primary that is silent instead of gone never says MOVED. */
const slotsRefreshMs = 2_000;

const options = {
  commandTimeout: commandTimeoutMs,
  connectTimeout: 1_000,
  // What is silent does not say goodbye either.
  disconnectTimeout: 200,
  socketTimeout: 5_000,
  maxRetriesPerRequest: 1,
  // Down is down: a command that waits for a connection would be answered long after its request.
  enableOfflineQueue: false,
  // One command less that a user of least rights has to be granted.
  disableClientInfo: true,
  // A primary that has become a replica refuses to write, and what it reads may be old.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  retryStrategy: (attempt: number) => Math.min(50 * attempt, 1_000),
  lazyConnect: true,
} satisfies RedisOptions;

/**
 * Connects to what `REDIS_URL` names (src/redis-url.ts), and reconnects by itself: after a failover to the new primary.
 * @throws {StoreUnavailable} when it cannot be reached now.
 * @throws {UsageError} when the URL is wrong, or it may evict: a token that is thrown out early would be a wrong "inactive".
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
  // A cluster's connection to one node; the cluster itself says nothing of why.
  redis.on('node error', (error: Error) => {
    lastError = error;
  });
  redis.on('ready', () => {
    if (down) log.info('Redis is reachable again');
    down = false;
  });
  try {
    await redis.connect();
    const policies = await Promise.all(primariesOf(redis).map(evictionPolicy));
    const evicting = policies.find((policy) => policy && policy !== 'noeviction');
    if (!evicting) return redis;
    throw new UsageError(
      `Redis has maxmemory-policy ${evicting} and may throw live tokens away. Set it to noeviction: CONFIG SET maxmemory-policy noeviction`,
    );
  } catch (error) {
    redis.disconnect();
    if (error instanceof UsageError) throw error;
    // The connection's own error says why; what `connect` rejects with says only that it closed.
    const cause = lastError ?? (error as Error);
    throw new StoreUnavailable('redis', cause.message, cause);
  }
}

function primariesOf(redis: Redis | Cluster): Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis];
}

/** INFO tells it, where CONFIG is often forbidden; undefined where the server does not say. */
async function evictionPolicy(redis: Redis): Promise<string | undefined> {
  const info = await redis.info('memory');
  return /^maxmemory_policy:(\S+)/m.exec(info)?.[1];
}

function create(url: string): Redis | Cluster {
  const { topology, nodes, primaryName, db, tls, ...rest } = readRedisUrl(url);
  const { sentinelUsername, sentinelPassword, ...user } = rest;
  const shared = { ...options, ...user, ...(tls ? { tls } : {}) };
  if (topology === 'standalone') return new Redis({ ...shared, ...nodes[0], db });
  if (topology === 'sentinel') {
    const ofSentinel = {
      ...options,
      ...(sentinelUsername ? { username: sentinelUsername } : {}),
      ...(sentinelPassword ? { password: sentinelPassword } : {}),
      ...(tls ? { tls } : {}),
    };
    const redis = new Redis({
      ...shared,
      db,
      sentinels: [...nodes],
      name: primaryName,
      ...(sentinelUsername ? { sentinelUsername } : {}),
      ...(sentinelPassword ? { sentinelPassword } : {}),
      ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: tls } : {}),
      sentinelCommandTimeout: commandTimeoutMs,
    });
    // A primary that was replaced while it was only silent would go on being asked, and know nothing of newer tokens.
    redis.once(
      'end',
      watchSentinels(nodes, ofSentinel, primaryName, () => connectAnew(redis)),
    );
    return redis;
  }
  return new Cluster([...nodes], {
    redisOptions: shared,
    enableOfflineQueue: false,
    lazyConnect: true,
    slotsRefreshTimeout: commandTimeoutMs,
    slotsRefreshInterval: slotsRefreshMs,
    clusterRetryStrategy: options.retryStrategy,
    // In all about as long as somebody waits for an answer.
    maxRedirections: 5,
  });
}

/** Also where it is connecting just now, to whatever address it has learnt. Cut off then, ioredis would give up for good. */
function connectAnew(redis: Redis): void {
  if (redis.status === 'connecting') redis.once('connect', () => redis.disconnect(true));
  else if (redis.status === 'connect' || redis.status === 'ready') redis.disconnect(true);
}
