import { StoreUnavailable } from '../errors.ts';
import type { NetworkLimit } from '../http/allowed-networks.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import { keyGeneration, keyIdOf, type UsedKey } from './client-key-store.ts';
import { createNetworkWatches } from './network-watches.ts';
import { createRejectedRequests, type RejectedRequest } from './rejected-requests.ts';
import { batchOf, minuteMs, type SecretCount, type SourceCount, toBatch } from './usage-batch.ts';
import { otherSources, type SourceName } from './usage-source.ts';
import { addUsage, type NoteUse, type UsageBatch } from './usage-store.ts';

/**
 * The credential that was presented. Generation 0 means none of the owner's secrets.
 * @property key the key or certificate that was used, which is counted by itself too.
 * @property networks the networks that the owner is accepted from, whose watch counts uses from other ones.
 */
export type PresentedSecret = {
  owner: string;
  generation: number;
  epoch: number;
  key?: UsedKey | undefined;
  networks?: NetworkLimit;
};

/** Counts in memory how secrets are used. No store is involved until a batch is taken, every few seconds. */
export type UsageCounter = {
  /** Counts an issued token. @param lifetimeSeconds until it expires. */
  issued(secret: PresentedSecret, source: SourceName, lifetimeSeconds: number): void;
  /** Counts an accepted request for something other than a token. */
  used(secret: PresentedSecret, source: SourceName): void;
  /** Counts an authenticated request that was refused. @param code an error code of RFC 6749 §5.2. */
  failed(secret: PresentedSecret, source: SourceName, code: string): void;
  /** Counts a failed authentication. @param reason `wrong_secret`, `retired_secret`, … */
  refused(secret: PresentedSecret, source: SourceName, reason: string): void;
  /** Counts a use that the allowed networks of its owner would refuse. Called by `issued`, `used` and `failed`. */
  watch(secret: PresentedSecret, address: string | undefined): void;
  /** Notes a rejected request, to explain it later. Beyond a limit, requests are not noted. */
  rejected(request: RejectedRequest): void;
  /** Returns and clears everything counted, in batches that fit one statement. */
  take(): UsageBatch[];
};

/**
 * Maximum number of sources per secret between two batches, and as many again that name their instance; further sources
 * are counted as one.
 */
const maxSources = 100;
/** Maximum number of sources per process between two batches; beyond it, use is not recorded by source. */
const maxSourcesInAll = 20_000;
/** Maximum number of keys per process between two batches; the use of further ones is counted by credential only. */
const maxKeys = 2_000;
const maxUserAgentLength = 200;
const secretsPerBatch = 2_000;

export function createUsageCounter({ clock }: { clock: Clock }): UsageCounter {
  // Everything counted within one minute belongs to the same hour.
  let minute = Number.NaN;
  let counts = new Map<string, SecretCount[]>();
  let closed: UsageBatch[] = [];
  let sourcesInAll = 0;
  let keys = 0;
  const requests = createRejectedRequests();
  const watches = createNetworkWatches();

  function countOf(secret: PresentedSecret, now: number): SecretCount {
    const nowMinute = Math.floor(now / minuteMs);
    if (nowMinute !== minute) {
      closeMinute();
      minute = nowMinute;
    }
    let ofOwner = counts.get(secret.owner);
    if (!ofOwner) {
      ofOwner = [];
      counts.set(secret.owner, ofOwner);
    }
    for (const count of ofOwner) if (count.secret.generation === secret.generation) return count;
    const count: SecretCount = {
      secret,
      key: undefined,
      outcomes: new Map(),
      tokens: new Map(),
      longestSeconds: 0,
      sources: new Map(),
      unnamedCount: 0,
      namedCount: 0,
      latest: undefined,
    };
    ofOwner.push(count);
    return count;
  }

  /** Returns the count of the key or certificate itself, or undefined if there are too many. */
  function countOfKey({ owner, generation, epoch, key }: PresentedSecret, now: number): SecretCount | undefined {
    if (!key) return undefined;
    const id = keyIdOf(owner, key);
    if (keys >= maxKeys && !counts.has(id)) return undefined;
    const count = countOf({ owner: id, generation: keyGeneration, epoch }, now);
    if (!count.key) keys += 1;
    count.key = { ...key, client: owner, generation };
    return count;
  }

  function sourceOf(count: SecretCount, from: SourceName): SourceCount {
    const { latest } = count;
    if (latest?.address === from.address && latest.userAgent === from.userAgent && latest.instance === from.instance) {
      return latest;
    }
    count.latest = findSource(count, from);
    return count.latest;
  }

  function findSource(count: SecretCount, { address, userAgent, instance }: SourceName): SourceCount {
    const shortened = userAgent.length > maxUserAgentLength ? userAgent.slice(0, maxUserAgentLength) : userAgent;
    let ofAddress = count.sources.get(address);
    let ofAgent = ofAddress?.get(shortened);
    const known = ofAgent?.get(instance);
    if (known) return known;
    const alike = instance === undefined ? count.unnamedCount : count.namedCount;
    const isOneTooMany = alike >= maxSources || sourcesInAll >= maxSourcesInAll;
    if (isOneTooMany && address !== otherSources) return findSource(count, { address: otherSources, userAgent: '' });
    const source: SourceCount = {
      address,
      userAgent: shortened,
      instance,
      issued: 0,
      longestSeconds: 0,
      epoch: 0,
      firstUsedAt: 0,
      lastUsedAt: 0,
      refused: 0,
      refusedAt: 0,
      refusedAs: null,
    };
    if (!ofAddress) {
      ofAddress = new Map();
      count.sources.set(address, ofAddress);
    }
    if (!ofAgent) {
      ofAgent = new Map();
      ofAddress.set(shortened, ofAgent);
    }
    ofAgent.set(instance, source);
    if (instance === undefined) count.unnamedCount += 1;
    else count.namedCount += 1;
    sourcesInAll += 1;
    return source;
  }

  /** @param lifetimeSeconds that of the issued token; 0 if none was issued. */
  function use(secret: PresentedSecret, from: SourceName, outcome: string, lifetimeSeconds: number): void {
    const now = clock();
    countUse(countOf(secret, now), secret.epoch, from, outcome, now, lifetimeSeconds);
    watches.count(secret.owner, secret.networks, from.address, now);
    const ofKey = secret.key && countOfKey(secret, now);
    if (ofKey) countUse(ofKey, secret.epoch, from, outcome, now, lifetimeSeconds);
  }

  function countUse(
    count: SecretCount,
    epoch: number,
    from: SourceName,
    outcome: string,
    now: number,
    lifetimeSeconds: number,
  ): void {
    add(count.outcomes, outcome);
    const source = sourceOf(count, from);
    source.firstUsedAt ||= now;
    source.lastUsedAt = now;
    if (lifetimeSeconds === 0) return;
    source.issued += 1;
    source.longestSeconds = Math.max(source.longestSeconds, lifetimeSeconds);
    source.epoch = epoch;
    count.longestSeconds = Math.max(count.longestSeconds, lifetimeSeconds);
    add(count.tokens, epoch);
  }

  function countRefusal(count: SecretCount, from: SourceName, reason: string, now: number): void {
    add(count.outcomes, reason);
    const source = sourceOf(count, from);
    source.refused += 1;
    source.refusedAt = now;
    source.refusedAs = reason;
  }

  function closeMinute(): void {
    const all = [...counts.values()].flat();
    for (let start = 0; start < all.length; start += secretsPerBatch) {
      closed.push(toBatch(all.slice(start, start + secretsPerBatch), minute * minuteMs));
    }
    counts = new Map();
    sourcesInAll = 0;
    keys = 0;
  }

  return {
    issued: (secret, source, lifetimeSeconds) => use(secret, source, 'issued', lifetimeSeconds),
    used: (secret, source) => use(secret, source, 'used', 0),
    failed: (secret, source, code) => use(secret, source, code, 0),
    refused: (secret, from, reason) => {
      const now = clock();
      countRefusal(countOf(secret, now), from, reason, now);
      const ofKey = secret.key && countOfKey(secret, now);
      if (ofKey) countRefusal(ofKey, from, reason, now);
    },
    watch: ({ owner, networks }, address) => watches.count(owner, networks, address, clock()),
    rejected: requests.add,
    take: () => {
      closeMinute();
      const rejected = requests.take();
      const outside = watches.take();
      if (rejected.length + outside.length > 0) closed.push(batchOf(rejected, outside));
      const batches = closed;
      closed = [];
      return batches;
    },
  };
}

function add<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Writes the counts every few seconds and when it is closed. */
export type UsageWriter = {
  /** Writes now. Counts that cannot be written are kept for the next attempt. Never rejects. */
  flush(): Promise<void>;
  close(): Promise<void>;
};

const everyMs = 4_000;
/** Batches kept while the database is unavailable, about an hour of a busy process; then the oldest are dropped. */
const maxWaiting = 500;
const maxRefusals = 3;

/** Starts writing counts. @param afterwards runs whenever everything counted until then has been written. */
export function startUsageWriter(
  deps: { counter: UsageCounter; database: Database; clock: Clock; log: Log; noteUse: NoteUse },
  afterwards: () => Promise<unknown>,
): UsageWriter {
  const { counter, database, clock, log, noteUse } = deps;
  const waiting: UsageBatch[] = [];
  let running: Promise<void> = Promise.resolve();
  let refusals = 0;

  async function write(): Promise<void> {
    waiting.push(...counter.take());
    while (waiting[0]) {
      await addUsage(database, waiting[0], clock(), noteUse);
      waiting.shift();
      refusals = 0;
    }
  }

  /** A batch that the database rejects repeatedly must not block all others. */
  function giveUpRefused(error: unknown): void {
    refusals = error instanceof StoreUnavailable ? 0 : refusals + 1;
    if (refusals < maxRefusals) return;
    refusals = 0;
    waiting.shift();
    log.error({ error: (error as Error).message }, 'dropped usage counts that the database rejected');
  }

  function flush(): Promise<void> {
    running = running.then(write).catch((error: Error) => {
      giveUpRefused(error);
      const lost = waiting.splice(0, Math.max(0, waiting.length - maxWaiting)).length;
      log.warn({ error: error.message, waiting: waiting.length, lost }, 'failed to write usage counts');
    });
    return running;
  }

  const timer = setInterval(() => {
    running = flush()
      // Counts that still wait may show that a secret is in use, so nothing is concluded from what the database has.
      .then(() => (waiting.length === 0 ? afterwards() : undefined))
      .then(
        () => undefined,
        (error: Error) => log.warn({ error: error.message }, 'failed to check grace periods'),
      );
  }, everyMs);
  timer.unref();

  return {
    flush,
    close: async () => {
      clearInterval(timer);
      await flush();
      if (waiting.length > 0) log.error({ batches: waiting.length }, 'dropped unwritten usage counts');
    },
  };
}
