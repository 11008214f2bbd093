import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../observability/log.ts';
import { createAnnouncementPeers } from './announcement-peers.ts';
import {
  type Announcement,
  type AnnouncementStream,
  decodeAnnouncement,
  encodeAnnouncement,
} from './announcement-stream.ts';
import type { CommittedChange } from './change.ts';
import { coalesce } from './coalesce.ts';
import { createGenerations } from './generations.ts';
import { withDeadline } from './with-deadline.ts';

/**
 * Announcements of changes through a Redis stream, the second way to learn of changes, independent of PostgreSQL.
 *
 * The process that commits a change announces it before it answers. Every process also announces changes that it reads
 * from PostgreSQL and that were not announced yet, and the time of that read. A process that PostgreSQL does not answer
 * therefore learns all changes, and up to which time they are complete, from any process that reaches both stores.
 */
export type Announcements = {
  /**
   * @param handlers.onChange called for a change that another process announced; it may be known already.
   * @param handlers.knownUntil returns the time up to which all changes are known from the database, by
   * `performance.now()`.
   */
  start(handlers: { onChange(change: CommittedChange): void; knownUntil(): number }): void;
  /**
   * Announces changes that this process committed. Resolves once the other processes have applied them, so that later
   * requests are decided on the current state. A revoked token needs only be readable by others. Waits at most about a
   * second for processes that do not respond, which read the change from the database meanwhile, and as long if Redis is
   * known not to answer.
   */
  publish(changes: readonly CommittedChange[]): Promise<void>;
  /** Announces a change that was read from the database, unless another process does. */
  relay(change: CommittedChange): void;
  /** Reports that everything committed before `askedAt` has been relayed. */
  databaseAnswered(server: string, askedAt: number): void;
  databaseFailed(): void;
  /** Reports that another database server took over, so other processes may know changes that it lacks. */
  databaseReplaced(): void;
  /** Returns the changes that the stream holds, oldest first. @throws if Redis does not answer within `waitMs`. */
  history(waitMs?: number): Promise<readonly CommittedChange[]>;
  /** Reads and announces immediately. */
  refresh(): Promise<void>;
  /** Returns the time up to which all changes are known from announcements, by `performance.now()`. */
  knownUntil(): number;
  /** Returns whether announcements are being received and are complete up to a few seconds ago. */
  areFollowed(): boolean;
  /** Returns whether announcements may have been missed whose changes were not read from the database since. */
  hasMissed(): boolean;
  /** Returns whether every other process of the deployment reports that the database does not answer it either. */
  isEveryoneCutOff(): boolean;
  close(): Promise<void>;
};

const turnMs = 50;
/** Maximum time between two announcements of a process. */
const sayEveryMs = 500;
/** Minimum time between two announcements of reads of the database, so that the stream holds about a minute. */
const sayReadEveryMs = 200;
const publishMs = 500;
/** Maximum time to wait until other processes have applied a published change, and the interval of asking. */
const applyMs = 1_000;
const askAppliedMs = 10;
/** Time in which every process that PostgreSQL answers reads a committed change, without notifications. */
const readElsewhereMs = 1_000;
/** Maximum time since the last successful read of the stream for announcements to count as current. */
const readWithinMs = 1_000;
/**
 * Maximum age of completeness through announcements: other processes poll the database, announce, and are read in turn.
 */
const knownWithinMs = 3_000;
const maxChangesPerEntry = 100;
/** Maximum number of pending changes. For more, announcing that some are missing costs less. */
const maxPending = 5_000;
/** Time after which an announcement that was not read back from Redis is repeated. */
const repeatAfterMs = 1_000;

export function createAnnouncements({ stream, log }: { stream: AnnouncementStream; log: Log }): Announcements {
  const self = randomBytes(9).toString('base64url');
  const peers = createAnnouncementPeers(knownWithinMs);
  /** Changes that have not been read back from Redis, with the time they were last sent. */
  const pending = new Map<string, { change: CommittedChange; sentAt: number }>();
  const announced = createGenerations<string, true>(10_000, 100_000);
  let lastId: string | undefined;
  /** Start of the last successful read: entries that it did not return were appended later. */
  let readAt = Number.NEGATIVE_INFINITY;
  let completeUntil = Number.NEGATIVE_INFINITY;
  let missedAt = Number.NEGATIVE_INFINITY;
  let lastSaidAt = Number.NEGATIVE_INFINITY;
  let database: { server: string; askedAt: number; isNew: boolean } | undefined;
  let isCutOff = false;
  let isIncomplete = false;
  /** Whether others wait to learn that this process has applied their changes. */
  let owesApplied = false;
  let lastAppendedId: string | undefined;
  let isFailing = false;
  let onChange: (change: CommittedChange) => void = () => undefined;
  let databaseKnownUntil = () => Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const knownUntil = () => Math.max(databaseKnownUntil(), completeUntil);
  const hasMissed = () => missedAt > databaseKnownUntil();
  const isReading = () => performance.now() - readAt <= readWithinMs;

  function noteMissed(): void {
    if (!hasMissed()) missedAt = performance.now();
  }

  async function read(): Promise<void> {
    if (lastId === undefined) {
      const sentAt = performance.now();
      lastId = await stream.append(encodeAnnouncement({ from: self, changes: [], isCutOff }));
      peers.noteEarlier(await stream.before(lastId), self);
      readAt = sentAt;
      return;
    }
    for (;;) {
      const sentAt = performance.now();
      const entries = await stream.after(lastId);
      if (!entries) {
        log.warn('announcements in Redis are missing, continuing with the newest one');
        lastId = undefined;
        peers.clear();
        noteMissed();
        isIncomplete = true;
        return await read();
      }
      for (const { id, entry } of entries) {
        const announcement = entry === undefined ? undefined : decodeAnnouncement(entry);
        if (announcement) take(announcement, performance.now());
        lastId = id;
      }
      readAt = sentAt;
      if (entries.length === 0) return;
    }
  }

  function take(announcement: Announcement, now: number): void {
    for (const change of announcement.changes) {
      const key = keyOf(change);
      pending.delete(key);
      announced.set(key, true);
      if (announcement.from !== self) onChange(change);
    }
    if (announcement.from === self) return;
    if (announcement.changes.some(isAwaited)) owesApplied = true;
    if (announcement.isIncomplete) noteMissed();
    const firstReadAt = peers.note(announcement, now);
    const ofPeer = announcement.isLeaving ? undefined : announcement.read;
    if (!ofPeer || !database) return;
    if (ofPeer.server !== database.server) noteMissed();
    // A peer announces all changes since it began to read, so earlier changes must be known already.
    else if (firstReadAt <= knownUntil()) completeUntil = Math.max(completeUntil, readAt - ofPeer.ageMs);
  }

  /** Announces pending changes, and whether this process reaches the database, in as few entries as possible. */
  async function say(): Promise<void> {
    const now = performance.now();
    if (pending.size > maxPending) {
      pending.clear();
      isIncomplete = true;
    }
    const due = [...pending.values()].filter(({ sentAt }) => now - sentAt > repeatAfterMs);
    const isDue =
      due.length > 0 ||
      isIncomplete ||
      owesApplied ||
      now - lastSaidAt >= (database?.isNew ? sayReadEveryMs : sayEveryMs);
    if (!isDue) return;
    for (const each of due) each.sentAt = now;
    // Leave answers that arrive during this call to the next announcement, together with their changes.
    const said = { read: database?.isNew ? database : undefined, isIncomplete };
    for (; due.length > maxChangesPerEntry; ) {
      await stream.append(encodeAnnouncement({ from: self, changes: changesIn(due.splice(0, maxChangesPerEntry)) }));
    }
    lastAppendedId = await stream.append(
      encodeAnnouncement({
        from: self,
        changes: changesIn(due),
        applied: lastId,
        read: said.read && { server: said.read.server, ageMs: performance.now() - said.read.askedAt },
        isCutOff,
        isIncomplete,
      }),
    );
    if (said.read) said.read.isNew = false;
    if (said.isIncomplete) isIncomplete = false;
    owesApplied = false;
    lastSaidAt = now;
  }

  function isOfDue(change: CommittedChange): boolean {
    return !announced.get(keyOf(change)) && !pending.has(keyOf(change));
  }

  async function turn(): Promise<void> {
    try {
      await read();
      await say();
      if (isFailing) log.info('reading announcements from Redis again');
      isFailing = false;
    } catch (error) {
      for (const each of pending.values()) each.sentAt = Number.NEGATIVE_INFINITY;
      if (!isFailing) log.warn({ error: (error as Error).message }, 'failed to read announcements from Redis');
      isFailing = true;
    }
  }

  /** Resolves once every other process has applied what this one has appended, at the latest after `applyMs`. */
  async function whenApplied(): Promise<void> {
    const entryId = lastAppendedId;
    const until = performance.now() + applyMs;
    while (entryId !== undefined && !closed && performance.now() < until && peers.lack(entryId, performance.now())) {
      await delay(askAppliedMs);
      await turns.run();
    }
  }

  /**
   * Runs turns one at a time, so that announcements are read in order and appended in the order in which changes were
   * read.
   */
  const turns = coalesce(turn);

  function schedule(): void {
    if (closed) return;
    timer = setTimeout(() => void turns.run().then(schedule), turnMs);
    timer.unref();
  }

  return {
    start: (handlers) => {
      onChange = handlers.onChange;
      databaseKnownUntil = handlers.knownUntil;
      void turns.run().then(schedule);
    },
    publish: async (changes) => {
      for (const change of changes) {
        if (isOfDue(change)) pending.set(keyOf(change), { change, sentAt: Number.NEGATIVE_INFINITY });
      }
      const published = turns.run();
      const areAwaited = changes.some(isAwaited);
      if (isReading()) await withDeadline(published, 'redis', publishMs).catch(() => (isFailing = true));
      const isPublished = isReading() && !isFailing;
      if (!areAwaited) return;
      if (isPublished) await whenApplied();
      // Without Redis, other processes read the change from the database only.
      else if (peers.exist()) await delay(readElsewhereMs);
    },
    relay: (change) => {
      if (isOfDue(change)) pending.set(keyOf(change), { change, sentAt: Number.NEGATIVE_INFINITY });
    },
    databaseAnswered: (server, askedAt) => {
      database = { server, askedAt, isNew: true };
      isCutOff = false;
    },
    databaseFailed: () => {
      isCutOff = true;
      if (database) database.isNew = false;
    },
    databaseReplaced: () => {
      isIncomplete = true;
      completeUntil = Number.NEGATIVE_INFINITY;
    },
    history: async (waitMs) => (await stream.all(waitMs)).flatMap((entry) => decodeAnnouncement(entry)?.changes ?? []),
    refresh: turns.run,
    knownUntil: () => completeUntil,
    areFollowed: () => isReading() && performance.now() - completeUntil <= knownWithinMs,
    hasMissed,
    isEveryoneCutOff: () => isReading() && peers.areCutOff(performance.now()),
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await turns.idle();
      if (!isFailing) {
        await stream.append(encodeAnnouncement({ from: self, changes: [], isLeaving: true })).catch(() => undefined);
      }
    },
  };
}

function keyOf({ seq, target }: CommittedChange): string {
  return `${seq} ${target}`;
}

/** Returns whether the answer to a change waits for other processes. They would issue tokens on outdated knowledge. */
function isAwaited({ kind }: CommittedChange): boolean {
  return kind !== 'token';
}

function changesIn(pending: readonly { change: CommittedChange }[]): CommittedChange[] {
  return pending.map(({ change }) => change);
}
