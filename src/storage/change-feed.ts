import { StoreUnavailable } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import type { DatabaseClock } from '../process/clock.ts';
import type { Announcements } from './announcements.ts';
import {
  type ChangeFeed,
  type CommittedChange,
  createChangeSubscribers,
  type FeedPosition,
  toChange,
} from './change.ts';
import { createChangeGaps } from './change-gaps.ts';
import { coalesce, shareTurns } from './coalesce.ts';
import type { Database } from './database.ts';
import { createFreshness, requireUsable } from './freshness.ts';
import { createRevokedLoader } from './load-revoked.ts';
import type { LossCheck } from './loss-check.ts';
import { type ChangePage, createChangeReader } from './read-changes.ts';
import { withDeadline } from './with-deadline.ts';

/** Poll interval. Without notifications, a change is known after at most this time. */
const pollEveryMs = 400;
/** At the start, how long transactions that write changes may take before the state is read without them. */
const writersEndWithinMs = 250;
/** Changes are kept for a day. After a longer pause, for example of a suspended machine, some may have been deleted. */
const maxPauseMs = 12 * 3_600_000;
/** Minimum interval of the reads before rejections, which all rejections in between share. */
const readForRejectionsMs = 5;
/** A returning follower that missed more changes than this drops its whole cache, which costs less. */
const maxMissed = 1_000;

/**
 * @param deps.databaseClock receives the database's time with each answer.
 * @param deps.announcements a second way to learn of changes and to report them.
 * @param deps.staleAlways see freshness.ts.
 * @param deps.lossCheck finds changes that the database has lost; without it, none is assumed to be lost.
 */
export function createChangeFeed(deps: {
  database: Database;
  log: Log;
  staleSeconds: number;
  staleAlways?: boolean;
  databaseClock?: Pick<DatabaseClock, 'observe'>;
  announcements?: Announcements | undefined;
  lossCheck?: LossCheck;
}): ChangeFeed {
  const { database, log, staleAlways = true, databaseClock, announcements, lossCheck } = deps;
  const reader = createChangeReader(database);
  const subscribers = createChangeSubscribers();
  const gaps = createChangeGaps();
  let server: string | undefined;
  let lastServer: string | undefined;
  /** Every number up to this one has been reported, is in `gaps`, or belongs to an early writer. */
  let reportedTo = 0;
  /** Transactions that were writing changes when the state was read, and may still commit any lower number. */
  let earlyWriters: ReadonlySet<string> = new Set();
  /** By the database's clock. */
  let lastReadAt: number | undefined;
  let syncedAt = Number.NEGATIVE_INFINITY;
  let failing = false;
  const revoked = createRevokedLoader({
    reader,
    server: () => server,
    onOtherServer: () => {
      lossCheck?.distrust();
      restart();
    },
    onPage: subscribers.revoked,
    onLoaded: subscribers.loaded,
    onFailure: noteFailure,
  });
  const isChecked = () => lossCheck?.isDone() !== false;
  const isSuspect = () => lossCheck?.isSuspect() === true;
  const knownUntil = () => syncedAt;
  const freshness = createFreshness({ ...deps, announcements, staleAlways, isChecked, isSuspect, knownUntil });

  async function poll(): Promise<void> {
    const startedAt = performance.now();
    if (server === undefined) await begin();
    await readOn();
    if (await lossCheck?.run()) await readOn();
    await readGaps();
    await revoked.advance();
    // After a restart of the database, only the newest revoked tokens may be unknown here, and they are read first. A page of
    // another server may just have started everything over.
    if (server !== undefined && (!revoked.isLoading() || revoked.hasLoaded())) {
      syncedAt = startedAt;
      announcements?.databaseAnswered(server, startedAt);
    }
    if (failing) log.info('reading changes again');
    failing = false;
  }

  /** Reads the state from the start: everything up to the latest change, then follows from there. */
  async function begin(): Promise<void> {
    const found = await reader.latest();
    earlyWriters = await reader.writersAfter(writersEndWithinMs);
    if (lastServer !== undefined && found.server !== lastServer) lossCheck?.distrust();
    server = found.server;
    lastServer = found.server;
    reportedTo = found.latest;
    gaps.clear();
    revoked.begin(found.latest);
  }

  /** Drops what was cached. Revoked tokens stay known until they expire, and are read again meanwhile. */
  function restart(): void {
    server = undefined;
    revoked.cancel();
    announcements?.databaseReplaced();
    subscribers.reset();
  }

  /** Starts over if the missed changes cannot be determined. */
  async function requireSequel(page: ChangePage): Promise<void> {
    const isLate = lastReadAt !== undefined && page.databaseTime - lastReadAt > maxPauseMs;
    lastReadAt = page.databaseTime;
    if (page.server === server && !isLate) return;
    if (page.server !== server) {
      lossCheck?.distrust();
      if (!isLate && (await lossCheck?.isContinued())) {
        log.info('database server was restarted and has every known change');
        server = page.server;
        lastServer = page.server;
        return;
      }
    }
    // Another server may lack reported changes, and may assign their numbers to other changes.
    log.warn(
      isLate
        ? 'missed changes for hours, reloading everything from the database'
        : 'database server was replaced or restarted, reloading everything from the database',
    );
    restart();
  }

  async function readOn(): Promise<void> {
    for (;;) {
      const askedAt = performance.now();
      const page = await reader.after(reportedTo);
      databaseClock?.observe(page.databaseTime, askedAt);
      await requireSequel(page);
      if (server === undefined) {
        await begin();
        continue;
      }
      for (const row of page.rows) {
        gaps.add(reportedTo + 1, row.seq - 1);
        reportedTo = row.seq;
        notify(row);
      }
      if (page.isLast) return;
    }
  }

  /** Reports missing numbers that have become visible, and gives up those that no open transaction can hold. */
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
    for await (const rows of reader.within(gaps.ranges())) {
      gaps.remove(rows);
      for (const row of rows) notify(row);
    }
    gaps.close(writers);
  }

  function notify(row: CommittedChange): void {
    lossCheck?.note(row);
    reportToSubscribers(row, positionOf(row.seq));
    announcements?.relay(row);
  }

  function reportToSubscribers(committed: CommittedChange, position: FeedPosition): void {
    subscribers.report(toChange(committed, position));
  }

  /** Reports a change that the database may not have reported yet. It is reported again when it is read there. */
  function reportEarly(committed: CommittedChange): void {
    lossCheck?.note(committed);
    if (committed.seq > reportedTo || gaps.has(committed.seq)) reportToSubscribers(committed, positionOf(reportedTo));
  }

  /** Returns the position of a follower to which the change with this number has just been reported. */
  function positionOf(seq: number): FeedPosition {
    const first = earlyWriters.size > 0 ? 1 : (gaps.first() ?? Number.POSITIVE_INFINITY);
    return `c${Math.min(seq, first - 1)}.${server ?? 0}`;
  }

  const polls = coalesce(() =>
    poll().catch((error: unknown) => {
      announcements?.databaseFailed();
      throw error;
    }),
  );
  const sync = polls.run;
  const syncSince = shareTurns(sync, (since) => syncedAt < since, readForRejectionsMs);

  function noteFailure(error: Error): void {
    if (!failing) log.warn({ error: error.message }, 'failed to read changes');
    failing = true;
  }

  function syncQuietly(): void {
    sync().catch(noteFailure);
  }

  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => Promise<void>) | undefined;

  return {
    start: async () => {
      await sync();
      while (revoked.isLoading()) {
        await revoked.idle();
        await sync();
      }
      announcements?.start({ onChange: reportEarly, knownUntil: () => syncedAt });
      timer = setInterval(() => {
        syncQuietly();
        freshness.watch();
      }, pollEveryMs);
      timer.unref();
      unlisten = await database.listen('keyturn_changes', syncQuietly);
    },
    subscribe: subscribers.add,
    subscribeToRevoked: subscribers.addRevoked,
    sync,
    syncSince,
    isFresh: freshness.isUsable,
    isChecked,
    whenFresh: async () => {
      if (freshness.isUsable()) return;
      const ways = [sync(), announcements?.refresh()].map(async (way) => {
        await way;
        requireUsable(freshness);
      });
      await withDeadline(Promise.any(ways)).catch(() => requireUsable(freshness));
    },
    requireFresh: () => requireUsable(freshness),
    requireNotOld: () => {
      if (freshness.isKnownOld()) throw new StoreUnavailable('database', 'changes of other processes are unknown');
    },
    freshness: freshness.state,
    committed: async (changes) => {
      for (const change of changes) reportEarly(change);
      await announcements?.publish(changes);
    },
    position: () => positionOf(reportedTo),
    since: async (position) => {
      const [, seq, ofServer] = /^c(\d{1,15})\.(\d{1,19})$/.exec(position) ?? [];
      if (!seq || !ofServer) return undefined;
      const rows = await reader.missed(Number(seq), ofServer, maxMissed + 1);
      if (!rows || rows.length > maxMissed) return undefined;
      // Lower numbers may still be missing, so none of these moves the position.
      return rows.map((row) => toChange(row, position));
    },
    lagMs: freshness.lagMs,
    state: () => {
      const state = freshness.state();
      if (state === 'current' || state === 'announced') return 'ok';
      return revoked.isLoading() && state !== 'unchecked' ? 'loading' : state;
    },
    close: async () => {
      clearInterval(timer);
      const lastPage = revoked.idle();
      revoked.cancel();
      await unlisten?.();
      await polls.idle();
      await lastPage;
      await announcements?.close();
    },
  };
}
