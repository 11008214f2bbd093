import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailable } from '../errors.ts';
import type { Log } from '../log.ts';
import { createChangeGaps } from './change-gaps.ts';
import type { Database } from './database.ts';
import type { DatabaseClock } from './database-clock.ts';
import { type ChangePage, type ChangeRow, createChangeReader, type RevokedPage } from './read-changes.ts';

export type ChangeKind =
  | 'client'
  | 'resource_servers'
  | 'access_key'
  | 'token'
  | 'signing_keys'
  | 'revoked_signing_key'
  | 'foreign_client_ids';

/** Something that other processes may have cached is no longer what it was. */
export type Change = {
  kind: ChangeKind;
  target: string;
  expiresAt: Date;
  position: FeedPosition;
  /** Whether it was read as part of the current state, at the start or after a restart of the database. */
  isLoaded: boolean;
};

/**
 * How far a follower has been told, as `c<number>.<server>`: it has been told every change up to this number of this server.
 * Reading on from there may repeat some changes and misses none.
 */
type FeedPosition = string;

/** Without notifications, a change is known after at most this time. */
const pollEveryMs = 1_000;
/** Cached values count as stale after so long without an answer from the database. */
const freshForMs = 5_000;
/** At the start, transactions that are writing changes get so long to end before the state is read without them. */
const writersEndWithinMs = 250;
const lookAgainMs = 10;
/** Changes are kept for a day. After a longer pause, such as that of a suspended machine, some may be gone. */
const maxPauseMs = 12 * 3_600_000;
/** A returning follower that missed more changes than this forgets everything instead, which costs less. */
const maxMissed = 1_000;
/**
 * Follows every change that any process commits, in each process once.
 *
 * Reads in the order of the sequence numbers. Numbers are assigned before the commit, so a lower one may become visible later:
 * a missing number is asked for again until every transaction that may have taken it has ended. The open transactions that have
 * written changes are known from their locks, so no other session delays the feed. Everything is read in bounded pages.
 */
export type ChangeFeed = {
  /**
   * Must be called before `start`, or what is already revoked is missed.
   * @param hooks.onReset another server took over, and anything may differ from what was told.
   * @param hooks.onLoaded after a reset, all revoked tokens of that server have been told.
   */
  subscribe(onChange: (change: Change) => void, onReset?: () => void, onLoaded?: () => void): void;
  /** Tells the revoked tokens that have not expired, then follows. */
  start(): Promise<void>;
  /** Reads now. Resolves once everything committed before the call has been told to the subscribers of this process. */
  sync(): Promise<void>;
  /** The position of a follower that has been told everything until now. */
  position(): FeedPosition;
  /** What was committed after a position. Returns undefined if that is not known or too much, so anything may have changed. */
  since(position: FeedPosition): Promise<Change[] | undefined>;
  /**
   * Throws if cached values may no longer be used, because the database has not answered for `staleSeconds`.
   * @throws {StoreUnavailable}
   */
  requireFresh(): void;
  /** Milliseconds since the last moment up to which every committed change has been told. */
  lagMs(): number;
  /** `ok`, or why cached values may not be used: `loading` while revoked tokens are read, else `behind`. */
  state(): 'ok' | 'loading' | 'behind';
  close(): Promise<void>;
};

/** The state of a server that is being read: revoked tokens numbered up to `upTo` are still missing. */
type Loading = { upTo: number; running: Promise<void> | undefined };

/** @param deps.databaseClock is told the database's time with each answer. */
export function createChangeFeed(deps: {
  database: Database;
  log: Log;
  staleSeconds: number;
  databaseClock?: Pick<DatabaseClock, 'observe'>;
}): ChangeFeed {
  const { database, log, staleSeconds, databaseClock } = deps;
  const reader = createChangeReader(database);
  const subscribers: ((change: Change) => void)[] = [];
  const resets: (() => void)[] = [];
  const afterLoads: (() => void)[] = [];
  const gaps = createChangeGaps();
  let server: string | undefined;
  /** Every number up to here has been told, is in `gaps`, or belongs to one of the early writers. */
  let toldTo = 0;
  /** Transactions that were writing changes when the state was read, and may still commit any lower number. */
  let earlyWriters: ReadonlySet<string> = new Set();
  let loading: Loading | undefined;
  /** By the database's clock. */
  let lastReadAt: number | undefined;
  let syncedAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let failing = false;

  async function poll(): Promise<void> {
    const startedAt = performance.now();
    if (server === undefined) await begin();
    await readOn();
    await readGaps();
    if (loading && !loading.running) {
      const started = loading;
      const first = await reader.revokedUpTo(started.upTo);
      takeRevoked(started, first);
      if (loading) started.running = loadRest(started).catch(noteFailure);
    }
    if (!loading) syncedAt = startedAt;
    if (failing) log.info('changes are followed again');
    failing = false;
  }

  /** Reads the state from the start: everything up to the latest change, then follows from there. */
  async function begin(): Promise<void> {
    const found = await reader.latest();
    const deadline = performance.now() + writersEndWithinMs;
    let writers: ReadonlySet<string> = await reader.writers();
    while (writers.size > 0 && performance.now() < deadline) {
      await delay(lookAgainMs);
      writers = writers.intersection(await reader.writers());
    }
    server = found.server;
    toldTo = found.latest;
    earlyWriters = writers;
    gaps.clear();
    loading = { upTo: found.latest, running: undefined };
  }

  /** Forgets what was cached. Revoked tokens stay known until they expire, and are read again beside the requests. */
  function restart(): void {
    server = undefined;
    loading = undefined;
    for (const reset of resets) reset();
  }

  /** Starts over if it cannot be known what was missed. */
  function requireSequel(page: ChangePage): void {
    const isLate = lastReadAt !== undefined && page.databaseTime - lastReadAt > maxPauseMs;
    lastReadAt = page.databaseTime;
    if (page.server === server && !isLate) return;
    // Another server may lack what was told, and may assign the same numbers to other changes.
    log.warn(
      isLate
        ? 'changes were not followed for hours: reading the state of the database again'
        : 'the database server was replaced or restarted: reading its state again',
    );
    restart();
  }

  async function readOn(): Promise<void> {
    for (;;) {
      const askedAt = performance.now();
      const page = await reader.after(toldTo);
      databaseClock?.observe(page.databaseTime, askedAt);
      requireSequel(page);
      if (server === undefined) {
        await begin();
        continue;
      }
      for (const row of page.rows) {
        gaps.add(toldTo + 1, row.seq - 1);
        toldTo = row.seq;
        tell(row);
      }
      if (page.isLast) return;
    }
  }

  /** Tells what has become visible of the missing numbers, and gives up those that no open transaction can hold. */
  async function readGaps(): Promise<void> {
    if (gaps.isEmpty() && earlyWriters.size === 0) return;
    const writers = await reader.writers();
    const stillOpen = earlyWriters.intersection(writers);
    if (stillOpen.size < earlyWriters.size) {
      // One of them has ended, and its changes may have any number.
      restart();
      await begin();
      await readOn();
      return await readGaps();
    }
    let ranges = gaps.ranges();
    for (let isLast = ranges.length === 0; !isLast; ) {
      const page = await reader.within(ranges);
      isLast = page.isLast;
      gaps.remove(page.rows);
      for (const row of page.rows) tell(row);
      const last = page.rows.at(-1)?.seq ?? 0;
      ranges = ranges.filter(({ to }) => to > last).map(({ from, to }) => ({ from: Math.max(from, last + 1), to }));
    }
    gaps.close(writers);
  }

  async function loadRest(started: Loading): Promise<void> {
    let upcoming = reader.revokedUpTo(started.upTo);
    while (loading === started) {
      const page = await upcoming;
      // The database reads the next page while this one is told.
      if (page.below !== undefined) upcoming = reader.revokedUpTo(page.below);
      takeRevoked(started, page);
    }
    await upcoming;
  }

  /** Tells a page of the revoked tokens. The newest come first, because this process may not have been told of them. */
  function takeRevoked(started: Loading, page: RevokedPage): void {
    if (loading !== started) return;
    if (page.server !== server) {
      restart();
      return;
    }
    const position = positionOf(0);
    for (const [target, expiresAt] of page.revoked) {
      const change: Change = { kind: 'token', target, expiresAt: new Date(expiresAt), position, isLoaded: true };
      for (const subscriber of subscribers) subscriber(change);
    }
    if (page.below === undefined) {
      loading = undefined;
      for (const loaded of afterLoads) loaded();
    } else {
      started.upTo = page.below;
    }
  }

  function tell(row: ChangeRow): void {
    const change = toChange(row, positionOf(row.seq));
    for (const subscriber of subscribers) subscriber(change);
  }

  /** How far a follower has been told that has just been told the change with this number. */
  function positionOf(seq: number): FeedPosition {
    const first = earlyWriters.size > 0 ? 1 : (gaps.first() ?? Number.POSITIVE_INFINITY);
    return `c${Math.min(seq, first - 1)}.${server ?? 0}`;
  }

  /** At most one poll runs and one waits: a caller during a poll needs the one after it. */
  function sync(): Promise<void> {
    if (!running) {
      running = poll().finally(() => {
        running = undefined;
      });
      return running;
    }
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return sync();
      });
    return next;
  }

  function noteFailure(error: Error): void {
    if (!failing) log.warn({ error: error.message }, 'changes cannot be followed');
    failing = true;
    if (loading) loading.running = undefined;
  }

  function syncQuietly(): void {
    sync().catch(noteFailure);
  }

  function lag(): number {
    return performance.now() - syncedAt;
  }

  function allowedLag(): number {
    const allowedMs = staleSeconds * 1_000;
    return failing ? allowedMs : Math.max(allowedMs, freshForMs);
  }

  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => Promise<void>) | undefined;

  return {
    start: async () => {
      await sync();
      while (loading) {
        await loading.running;
        await sync();
      }
      timer = setInterval(syncQuietly, pollEveryMs);
      timer.unref();
      unlisten = await database.listen('keyturn_changes', syncQuietly);
    },
    subscribe: (onChange, onReset, onLoaded) => {
      subscribers.push(onChange);
      if (onReset) resets.push(onReset);
      if (onLoaded) afterLoads.push(onLoaded);
    },
    sync,
    requireFresh: () => {
      if (lag() > allowedLag()) throw new StoreUnavailable('database', `changes unknown for ${Math.round(lag())} ms`);
    },
    position: () => positionOf(toldTo),
    since: async (position) => {
      const [, seq, ofServer] = /^c(\d{1,15})\.(\d{1,19})$/.exec(position) ?? [];
      if (!seq || !ofServer) return undefined;
      const rows = await reader.missed(Number(seq), ofServer, maxMissed + 1);
      if (!rows || rows.length > maxMissed) return undefined;
      // Lower numbers may still be missing, so none of these moves the position.
      return rows.map((row) => toChange(row, position));
    },
    lagMs: lag,
    state: () => {
      if (lag() <= allowedLag()) return 'ok';
      return loading ? 'loading' : 'behind';
    },
    close: async () => {
      clearInterval(timer);
      const { running: lastPage } = loading ?? {};
      loading = undefined;
      await unlisten?.();
      await (next ?? running)?.catch(() => undefined);
      await lastPage;
    },
  };
}

function toChange({ kind, target, expires_at: expiresAt }: ChangeRow, position: FeedPosition): Change {
  return { kind, target, expiresAt, position, isLoaded: false };
}
