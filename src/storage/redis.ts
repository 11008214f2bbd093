import { Cluster, Redis, type RedisOptions, ReplyError } from 'ioredis';
import { type RedisAddress, readRedisUrl } from '../configuration/store-urls.ts';
import { StoreUnavailable, UsageError } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import { withDeadline } from './with-deadline.ts';

/**
 * Time limit of a command. Requests wait for a shorter time (with-deadline.ts), but accept an answer that is late only
 * because this process was busy.
 */
const commandTimeoutMs = 1_000;
/** Time limit for the first connection. With Sentinel, ioredis would retry forever. */
const firstConnectionMs = 5_000;
/** Interval of refreshing a cluster's slots: a primary that stopped answering never sends MOVED. */
const slotsRefreshMs = 2_000;

const options = {
  commandTimeout: commandTimeoutMs,
  connectTimeout: 1_000,
  // A server that stopped answering does not answer QUIT either.
  disconnectTimeout: 200,
  socketTimeout: 5_000,
  maxRetriesPerRequest: 1,
  // Reject commands while disconnected, because queued ones would be answered long after their requests.
  enableOfflineQueue: false,
  // Skip CLIENT SETINFO, so that a user with least privileges does not need it.
  disableClientInfo: true,
  // Reconnect when a primary has become a replica: it rejects writes, and its data may be old.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  retryStrategy: (attempt: number) => Math.min(50 * attempt, 1_000),
  lazyConnect: true,
} satisfies RedisOptions;

/**
 * Connects to the Redis of `REDIS_URL` (src/configuration/store-urls.ts). The connection reconnects automatically, after
 * a failover to the new primary.
 * @throws {StoreUnavailable} if Redis cannot be reached now.
 * @throws {UsageError} if the URL is wrong, Redis rejects its settings, or Redis may evict keys: an evicted live token
 * would be reported as inactive.
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
    if (!down) log.warn({ error: error.message }, 'Redis is unreachable');
    down = true;
    // Reconnect after an error reply here, which means that a command of the connection set-up failed. ioredis would
    // use the connection anyway, after a failed SELECT with database 0. Callers get errors of their own commands as
    // rejections.
    if (isReplyError(error)) redis.disconnect(true);
  });
  // Keep errors of a cluster's connections to single nodes, because the cluster's own error lacks the reason.
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
    // Prefer the connection's own error, because `connect` rejects only with "Connection is closed".
    const cause = lastError ?? (error as Error);
    throw new StoreUnavailable('redis', cause.message, cause);
  }
}

type CommandError = Error & { command?: { name: string; args: unknown[] } };

/** Returns whether Redis answered with an error, as opposed to a failed connection. */
function isReplyError(error: unknown): error is CommandError {
  return error instanceof ReplyError;
}

/** Returns advice for a failed SELECT, or undefined for another error. */
function refusalOf(error: unknown): string | undefined {
  if (!isReplyError(error) || error.command?.name !== 'select') return undefined;
  const advice = error.message.startsWith('NOPERM')
    ? 'Grant the user +select (docs/stores.md), or name no database in REDIS_URL.'
    : 'Name another database in REDIS_URL, or raise `databases` in redis.conf.';
  return `Redis cannot select database ${String(error.command.args[0])} (${error.message}). ${advice}`;
}

/** @throws {UsageError} if this primary may evict keys, or has no password although one is configured. */
async function requireFit(primary: Redis, { username = 'default', password }: RedisAddress): Promise<void> {
  const policy = await evictionPolicy(primary);
  if (policy && policy !== 'noeviction') {
    throw new UsageError(
      `Redis has maxmemory-policy ${policy} and may throw live tokens away. Set it to noeviction: CONFIG SET maxmemory-policy noeviction`,
    );
  }
  // Check the password with AUTH, because HELLO accepts any password for a user without one. Works for the user
  // `default` only.
  if (!password || username !== 'default') return;
  await primary.call('AUTH', password).catch((error: Error) => {
    if (!isReplyError(error)) throw error;
    throw new UsageError(
      `Redis needs no password, although REDIS_URL has one (${error.message}) Set requirepass in redis.conf, or remove the password.`,
    );
  });
}

/**
 * Checks that no Sentinel rejects the credentials, which would leave this process without failover. Sentinels that
 * cannot be reached are ignored, because that is normal during a failure.
 */
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

/**
 * Reads the eviction policy from INFO, because CONFIG is often forbidden. Returns undefined if the server does not
 * report it.
 */
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
    // Reconnect after a failover: a replaced primary that still answers would be used further, without newer tokens.
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
    // Redirections take about as long as a request waits.
    maxRedirections: 5,
  });
}

/**
 * Reconnects. Waits if a connection is being opened, possibly to an old address: if that is interrupted, ioredis gives
 * up permanently.
 */
function connectAnew(redis: Redis): void {
  if (redis.status === 'connecting') redis.once('connect', () => redis.disconnect(true));
  else if (redis.status === 'connect' || redis.status === 'ready') redis.disconnect(true);
}

const everyMs = 500;

/**
 * Asks every Sentinel twice a second for the primary's address and reports changes of their answers: when the first
 * Sentinel knows another primary, and again when the last one does. ioredis trusts the first Sentinel, which may be the
 * last to learn of a failover, and could reconnect to the old primary.
 * @returns a function that stops watching.
 */
function watchSentinels(
  sentinels: readonly { host: string; port: number }[],
  options: Omit<RedisOptions, 'replyMapping'>,
  primaryName: string,
  onChanged: () => void,
): () => void {
  const connections = sentinels.map((node) => {
    const connection = new Redis({ ...options, host: node.host, port: node.port, enableReadyCheck: false });
    // Ignore errors here, because the main Redis connection reports whether Redis can be reached.
    connection.on('error', () => undefined);
    connection.connect().catch(() => undefined);
    return connection;
  });
  let known: string | undefined;
  let isAsking = false;

  async function ask(): Promise<void> {
    const answers = await Promise.all(
      connections.map((connection) =>
        connection.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName).then(String, () => undefined),
      ),
    );
    const addresses = [...new Set(answers.filter((answer) => answer !== undefined))].sort().join(' ');
    if (addresses === '') return;
    const isChanged = known !== undefined && known !== addresses;
    known = addresses;
    if (isChanged) onChanged();
  }

  const timer = setInterval(() => {
    if (isAsking) return;
    isAsking = true;
    void ask().finally(() => {
      isAsking = false;
    });
  }, everyMs);
  timer.unref();
  return () => {
    clearInterval(timer);
    for (const connection of connections) connection.disconnect();
  };
}

/** Asks every Sentinel once for the primary's address. An answer that is an error is returned, not thrown. */
async function askSentinels(
  sentinels: readonly { host: string; port: number }[],
  options: Omit<RedisOptions, 'replyMapping'>,
  primaryName: string,
): Promise<unknown[]> {
  return await Promise.all(
    sentinels.map(async (node) => {
      const connection = new Redis({ ...options, host: node.host, port: node.port, enableReadyCheck: false });
      let refusal: Error | undefined;
      connection.on('error', (error: Error) => {
        refusal = error;
      });
      try {
        await connection.connect();
        return await connection.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primaryName);
      } catch (error) {
        return refusal ?? error;
      } finally {
        connection.disconnect();
      }
    }),
  );
}
