import { createAccessKeyCache } from './access-keys/access-key-cache.ts';
import { startUsedScopes, type UsedScopes } from './access-keys/used-scopes.ts';
import { startApprovalExpiry } from './approvals/expiry.ts';
import { type CommitChange, createCommitChange } from './audit/audit-log.ts';
import { type Refusals, startRefusals } from './audit/refusals.ts';
import { findStreamLags } from './audit/stream-store.ts';
import { type ClientCache, createClientCache } from './clients/client-cache.ts';
import { type ClientKeys, createClientKeys, type FetchJwks, fetchJwks } from './clients/fetch-jwks.ts';
import type { ManageDeps } from './clients/manage-clients.ts';
import { createUsedAssertions, type UsedAssertions } from './clients/used-assertions.ts';
import { assertionAlgorithms } from './clients/verification-key.ts';
import type { Config, SigningAlgorithm } from './config.ts';
import { createKeyRing } from './credentials/key-ring.ts';
import { createTextSigner } from './credentials/signed-value.ts';
import { createIdentityProviders, type IdentityProviders } from './identity-providers/identity-providers.ts';
import { lockSecretOwner } from './leaks/end-leak.ts';
import type { Notices } from './notices/deliver-notices.ts';
import { insertNewNetworks } from './notices/new-networks.ts';
import { insertNoticesOf } from './notices/notices-of-events.ts';
import { openNotices } from './notices/open-notices.ts';
import { type Log, logLoss } from './observability/log.ts';
import { createMetrics, type Metrics } from './observability/metrics.ts';
import { createReadiness, type Readiness } from './observability/readiness.ts';
import type { Tracing } from './observability/tracing.ts';
import { startPolicyWork } from './posture/open-due-rotations.ts';
import { type Clock, createClockCheck, createDatabaseClock, type DatabaseClock } from './process/clock.ts';
import { createStartSteps, type StartSteps } from './process/start-steps.ts';
import { finishUnused } from './regeneration/end-regeneration.ts';
import { countAwaitingFirstUse } from './secrets/hashed-secrets.ts';
import { countOverlaps } from './secrets/secret-store.ts';
import { openAnnouncementStream } from './storage/announcement-stream.ts';
import { createAnnouncements } from './storage/announcements.ts';
import type { ChangeFeed } from './storage/change.ts';
import { createChangeFeed } from './storage/change-feed.ts';
import type { Database } from './storage/database.ts';
import { createLossCheck } from './storage/loss-check.ts';
import { limitOfOpening, openDatabase, readRootKey } from './storage/open-database.ts';
import { limitDatabase } from './storage/organization-limit.ts';
import { createRateLimit, type RateLimit } from './storage/rate-limit.ts';
import { startSweep } from './storage/sweep.ts';
import { openRedis } from './tokens/open-redis.ts';
import { repairLosses } from './tokens/repair-lost-changes.ts';
import { followRevocations } from './tokens/revocation.ts';
import { ensureSigningKeys, followSigningKeys } from './tokens/signing-keys.ts';
import { createTokenRecordCodec, findUnauthenticatedRecords } from './tokens/token-record-codec.ts';
import { longestLifetime, type TokenDeps } from './tokens/token-rules.ts';
import {
  beginIfEmpty,
  createDatabaseTokenStore,
  createNearTokenStore,
  type NearTokenStore,
} from './tokens/token-store.ts';
import { type FollowedTrusts, followTrusts } from './trusts/follow-trusts.ts';
import { savePublishedKeys } from './usage/client-key-store.ts';
import { noteLastUse } from './usage/note-last-use.ts';
import { createUsageCounter, startUsageWriter, type UsageCounter, type UsageWriter } from './usage/usage-counter.ts';
import { type NoteUse, rollUpUsage } from './usage/usage-store.ts';
import { createWebhookChannel } from './webhooks/webhook-channel.ts';

/** Opened stores and the services on them, used by both the server and the command line. */
export type Core = ManageDeps &
  TokenDeps &
  FollowedTrusts & {
    config: Config;
    log: Log;
    clock: Clock;
    /** Limited to the organization of the operator whose request is served (organization-limit.ts). */
    database: Database;
    /** The same database without that limit, which caches, background work and the public listener use. */
    unlimitedDatabase: Database;
    feed: ChangeFeed;
    clients: ClientCache;
    /** Caches the public keys of clients that authenticate with one. */
    clientKeys: ClientKeys;
    usedAssertions: UsedAssertions;
    tokenStore: NearTokenStore;
    /** Counts how secrets are used. The counts are written every few seconds. */
    usage: UsageCounter & Pick<UsageWriter, 'flush'>;
    /** Records which scopes of access keys are actually used, as reported by resource servers. */
    usedScopes: UsedScopes;
    /** Counts the declared scopes that clients were granted. */
    grantedScopes: UsedScopes;
    /** Records rejected requests of the admin listener in the audit log. */
    refusals: Refusals;
    metrics: Metrics;
    /**
     * Checks that a process needs to pass in order to serve. Modules add their own checks; `startServer` starts them.
     */
    readiness: Readiness;
    /** Where people sign in. */
    providers: IdentityProviders;
    /** Undefined if requests are not traced. */
    tracing: Tracing | undefined;
    /** Limit of failed authentications of each network; undefined if there is no limit. */
    failureRate: RateLimit | undefined;
    /** Limit of tokens of each client; undefined if there is no limit. */
    tokenRate: RateLimit | undefined;
    /** Limit of revocations of each client; undefined if there is no limit. */
    revocationRate: RateLimit | undefined;
    /** Counts the requests of stand-alone access keys that have a limit of their own. */
    accessKeyRate: RateLimit;
    /**
     * Returns whether a token that the token store does not know was never issued or has expired. Rejects if that
     * cannot be determined.
     */
    isTokenStoreComplete(): Promise<boolean>;
    signingAlgorithm: SigningAlgorithm;
    change: CommitChange;
    /** Tells people and programs what happened. `startServer` starts it. */
    notices: Notices;
    /** CAs in PEM for webhooks; undefined for those that Node.js trusts. */
    webhookCa: string | undefined;
    close(): Promise<void>;
  };

/**
 * Opens the stores and starts the services on them.
 * @throws {KeyturnError} that says what to do if a store is unavailable, not migrated or unfit for use.
 */
export async function openCore(
  config: Config,
  log: Log,
  {
    clock = Date.now,
    // A test that moves the clock also moves the database's time, unless it passes another clock for it.
    databaseClock = clock === Date.now ? createDatabaseClock() : { now: clock, observe: () => undefined },
    redisPrefix: prefix = 'kt:',
    readJwks = fetchJwks,
    webhookCa,
    tracing,
    steps = createStartSteps(log),
  }: {
    clock?: Clock;
    databaseClock?: DatabaseClock;
    redisPrefix?: string;
    readJwks?: FetchJwks;
    /** CAs in PEM that webhooks are verified with, in place of those that Node.js trusts. */
    webhookCa?: string;
    tracing?: Tracing | undefined;
    /** Runs the steps of the start. */
    steps?: StartSteps;
  } = {},
): Promise<Core> {
  const metrics = createMetrics();
  const opened = new AsyncDisposableStack();
  opened.defer(async () => await tracing?.close());
  opened.defer(metrics.close);
  try {
    const keyRing = createKeyRing(await readRootKey(config));
    const opening = steps.run('the database and its schema', openDatabase(config, log), limitOfOpening(config));
    const measured = metrics.watchDatabase(await opening);
    opened.defer(measured.close);
    const database = tracing?.watchDatabase(measured) ?? measured;
    const remote = config.redisUrl ? await steps.run('Redis', openRedis(config.redisUrl, log)) : undefined;
    const redis = remote?.redis;
    opened.defer(() => redis?.disconnect());
    const ttlSeconds = config.accessTokenTtlSeconds;
    const unauthenticated = findUnauthenticatedRecords(database, clock(), ttlSeconds);
    const codec = createTokenRecordCodec(keyRing, await steps.run('the token records', unauthenticated));
    const store =
      remote?.createRedisTokenStore(remote.redis, codec, { prefix }) ?? createDatabaseTokenStore(database, codec);
    const stream =
      redis && (await openAnnouncementStream(redis, database, prefix, createTextSigner(keyRing, 'announcement')));
    const announcements = stream && createAnnouncements({ stream, log });
    const { staleSeconds, reveal, signingAlgorithm, issuer, webhookNetworks } = config;
    const algorithms = assertionAlgorithms(config.dialects);
    // The embedded database belongs to one process, so no other process can change it.
    const staleAlways = config.given.includes('KEYTURN_STALE_SECONDS') || config.databaseUrl === undefined;
    const secretDeps = {
      keyRing,
      clock,
      reveal,
      ttlSeconds,
      signingAlgorithm,
      assertionAlgorithms: algorithms,
      lockOwner: lockSecretOwner,
    };
    const lossCheck = createLossCheck({
      database,
      announcements,
      log,
      repair: repairLosses(database, log, secretDeps),
    });
    const sources = { databaseClock, announcements, lossCheck };
    const feed = createChangeFeed({ database, log, staleSeconds, staleAlways, ...sources });
    const signingKeys = followSigningKeys({ database, feed, keyRing, clock });
    const lifetimeSeconds = () => longestLifetime({ signingKeys, ttlSeconds });
    const completeness = remote?.createRedisCompleteness(remote.redis, { prefix, lifetimeSeconds });
    if (completeness) await steps.run('the token store', beginIfEmpty(database, completeness));
    const watchedStore = metrics.watchTokenStore(store);
    const tokenStore = createNearTokenStore(tracing?.watchTokenStore(watchedStore) ?? watchedStore);
    const clients = createClientCache({ database, feed });
    const accessKeys = createAccessKeyCache({ database, feed, keyRing });
    const clockCheck = createClockCheck(clock, databaseClock.now);
    // The client rejects commands at once while it is not connected.
    const isRedisDown = () => redis !== undefined && redis.status !== 'ready';
    const readiness = createReadiness({ database, tokenStore, isRedisDown, feed, log, clockCheck });
    opened.defer(readiness.stop);
    const revocations = followRevocations(feed, databaseClock);
    opened.defer(feed.close);
    await steps.run('the change feed', feed.start());
    const ensured = database.transaction((transaction) => ensureSigningKeys(transaction, secretDeps));
    await steps.run('the signing keys', ensured);
    opened.defer(startSweep(database, log, rollUpUsage, clockCheck.isRight));
    const changed = { database: limitDatabase(database), keyRing, feed, log };
    const change = createCommitChange(changed, (inner, events) => insertNoticesOf(inner, secretDeps, events));
    const webhooks = createWebhookChannel({ database, keyRing, clock, change, issuer, webhookNetworks, webhookCa });
    const notices = openNotices({ database, change, clock, log, keyRing, config, ttlSeconds }, webhooks);
    opened.defer(notices.close);
    opened.defer(startApprovalExpiry({ database, clock, change, log }));
    const refusals = startRefusals({ clock, log, change });
    opened.defer(refusals.close);
    const limit = (name: string, perMinute: number) =>
      perMinute > 0 ? createRateLimit(name, perMinute, { redis, prefix }) : undefined;
    const scopeDeps = { database, clock, log };
    const usedScopes = startUsedScopes(scopeDeps, { table: 'access_key_scopes', owner: 'access_key' });
    opened.defer(usedScopes.close);
    const grantedScopes = startUsedScopes(scopeDeps, { table: 'client_scopes', owner: 'client' });
    opened.defer(grantedScopes.close);
    const counter = createUsageCounter({ clock });
    const noteUse: NoteUse = async (transaction, batch, added) => {
      for (const table of ['access_keys', 'clients'] as const) await noteLastUse(transaction, batch, table);
      await insertNewNetworks(transaction, added);
    };
    const usageWriter = startUsageWriter({ counter, database, clock, log, noteUse }, () =>
      // A wrong clock must not end a secret permanently.
      clockCheck.isRight() ? finishUnused({ ...secretDeps, database, change }) : Promise.resolve(),
    );
    opened.defer(usageWriter.close);
    opened.defer(startPolicyWork({ ...secretDeps, database, log, change }, clockCheck.isRight));
    metrics.sources({
      clientLookups: () => clients.counts,
      changesLagMs: feed.lagMs,
      revokedTokens: () => revocations.size,
      lostLogLines: () => logLoss(log).lines,
      changesState: feed.freshness,
      clockDifferenceMs: clockCheck.differenceMs,
      auditStreamLags: () => findStreamLags(database, config.auditStreams),
      countOverlaps: () => countOverlaps(database, new Date(clock())),
      countAwaitingFirstUse: () => countAwaitingFirstUse(database),
    });
    return {
      config,
      log,
      clock,
      clockCheck,
      keyRing,
      reveal,
      ttlSeconds,
      previousVersionUntil: codec.previousVersionUntil,
      issuer: config.issuer,
      signingAlgorithm,
      signingKeys,
      database: changed.database,
      unlimitedDatabase: database,
      feed,
      clients,
      usedAssertions: createUsedAssertions(database, feed),
      ...followTrusts({ database, feed, settings: config, clock, log }),
      assertionAlgorithms: algorithms,
      clientKeys: createClientKeys({
        fetchJwks: readJwks,
        clock,
        log,
        notePublished: (client, uri, keys, at) => savePublishedKeys(database, client, uri, keys, at),
      }),
      accessKeys,
      usedScopes,
      grantedScopes,
      revocations,
      refusals,
      tokenStore,
      usage: {
        ...counter,
        refused: (secret, source, reason) => {
          metrics.refused(reason);
          counter.refused(secret, source, reason);
        },
        flush: usageWriter.flush,
      },
      metrics,
      readiness,
      providers: createIdentityProviders({ database, keyRing, log }, config),
      tracing,
      failureRate: limit('failures', config.failuresPerMinute),
      tokenRate: limit('tokens', config.tokensPerMinute),
      revocationRate: limit('revocations', config.revocationsPerMinute),
      accessKeyRate: createRateLimit('access_keys', Number.MAX_SAFE_INTEGER, { redis, prefix }),
      isTokenStoreComplete: completeness?.isComplete ?? (async () => true),
      change,
      notices,
      webhookCa,
      close: () => opened.disposeAsync(),
    };
  } catch (error) {
    // Open stores would keep the failed process alive, so that its restart policy could not act.
    await opened.disposeAsync().catch(() => undefined);
    throw error;
  }
}
