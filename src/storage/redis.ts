import { Cluster, Redis, type RedisOptions, ReplyError } from 'ioredis';
import { type RedisAddress, readRedisUrl } from '../configuration/redis-url.ts';
import { StoreUnavailable, UsageError } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import { askSentinels, watchSentinels } from './watch-sentinels.ts';
import { withDeadline } from './with-deadline.ts';

/**
 * When a command is given up. Whoever waits for it has given up sooner (with-deadline.ts), but takes an answer that is late only
 * because this process was busy.
 */
const commandTimeoutMs = 1_000;
/** Time limit for the first connection. With Sentinel, ioredis would try for ever. */
const firstConnectionMs = 5_000;
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
 * Connects to the Redis of `REDIS_URL` (src/configuration/redis-url.ts). The connection reconnects by itself, after a failover to the new primary.
 * @throws {StoreUnavailable} when Redis cannot be reached now.
 * @throws {UsageError} when the URL is wrong, Redis refuses to set up the connection as the URL says, or Redis may evict keys: a token
 *   that is evicted early would be a wrong "inactive".
 */
export async function connectRedis(url: string, log: Log): Promise<Redis | Cluster> {
  const address = readRedisUrl(url);
  const redis = create(address);
  let down = false;
  let lastError: Error | undefined;
  let refusal: string | undefined;
  redis.on('error', (error: Error) => {
    lastError = error;
    refusal ??= refusalOf(error);
    if (!down) log.warn({ error: error.message }, 'Redis is not reachable');
    down = true;
    // The caller of a command gets its error as a rejection. An error event is a failed command of the set-up, after which ioredis
    // would use the connection as it is: after a failed SELECT in database 0.
    if (isReplyError(error)) redis.disconnect(true);
  });
  // Errors of a cluster's connections to single nodes; the error of the cluster itself does not contain the reason.
  redis.on('node error', (error: Error) => {
    lastError = error;
  });
  redis.on('ready', () => {
    if (down) log.info('Redis is reachable again');
    down = false;
  });
  try {
    await withDeadline(redis.connect(), 'redis', firstConnectionMs);
    await Promise.all(primariesOf(redis).map((primary) => requireFit(primary, address)));
    await requireSentinels(address);
    return redis;
  } catch (error) {
    redis.disconnect();
    if (error instanceof UsageError) throw error;
    if (refusal) throw new UsageError(refusal);
    // The connection's own error says why; `connect` rejects only with "Connection is closed".
    const cause = lastError ?? (error as Error);
    throw new StoreUnavailable('redis', cause.message, cause);
  }
}

type CommandError = Error & { command?: { name: string; args: unknown[] } };

/** Whether Redis answered with an error, in contrast to a connection that failed. */
function isReplyError(error: unknown): error is CommandError {
  return error instanceof ReplyError;
}

/** Returns what to do about a failed SELECT, or undefined for another error. */
function refusalOf(error: unknown): string | undefined {
  if (!isReplyError(error) || error.command?.name !== 'select') return undefined;
  const advice = error.message.startsWith('NOPERM')
    ? 'Grant the user +select (docs/stores.md), or name no database in REDIS_URL.'
    : 'Name another database in REDIS_URL, or raise `databases` in redis.conf.';
  return `Redis cannot select database ${String(error.command.args[0])} (${error.message}). ${advice}`;
}

/** @throws {UsageError} when this primary may evict, or accepts any password. */
async function requireFit(primary: Redis, { username = 'default', password }: RedisAddress): Promise<void> {
  const policy = await evictionPolicy(primary);
  if (policy && policy !== 'noeviction') {
    throw new UsageError(
      `Redis has maxmemory-policy ${policy} and may throw live tokens away. Set it to noeviction: CONFIG SET maxmemory-policy noeviction`,
    );
  }
  // HELLO takes any password for a user that needs none; AUTH with a password alone tells. Only `default` can be asked in that way.
  if (!password || username !== 'default') return;
  await primary.call('AUTH', password).catch((error: Error) => {
    if (!isReplyError(error)) throw error;
    throw new UsageError(
      `Redis needs no password, although REDIS_URL has one (${error.message}) Set requirepass in redis.conf, or remove the password.`,
    );
  });
}

/** A Sentinel that cannot be reached is normal during a failure. One that refuses would leave this process without failover. */
async function requireSentinels(address: RedisAddress): Promise<void> {
  if (address.topology !== 'sentinel') return;
  const answers = await askSentinels(address.nodes, sentinelOptions(address), address.primaryName);
  for (const [index, answer] of answers.entries()) {
    if (!isReplyError(answer)) continue;
    const node = address.nodes[index];
    throw new UsageError(
      `Sentinel ${node?.host}:${node?.port} refuses (${answer.message}). Correct sentinel_username and sentinel_password in REDIS_URL.`,
    );
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

function sentinelOptions({ sentinelUsername, sentinelPassword, tls }: RedisAddress) {
  return {
    ...options,
    ...(sentinelUsername ? { username: sentinelUsername } : {}),
    ...(sentinelPassword ? { password: sentinelPassword } : {}),
    ...(tls ? { tls } : {}),
  };
}

function create(address: RedisAddress): Redis | Cluster {
  const { topology, nodes, primaryName, db, tls, username, password, sentinelUsername, sentinelPassword } = address;
  const user = { ...(username ? { username } : {}), ...(password ? { password } : {}) };
  const shared = { ...options, ...user, ...(tls ? { tls } : {}) };
  if (topology === 'standalone') return new Redis({ ...shared, ...nodes[0], db });
  if (topology === 'sentinel') {
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
      watchSentinels(nodes, sentinelOptions(address), primaryName, () => connectAnew(redis)),
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
