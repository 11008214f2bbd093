import { randomBytes } from 'node:crypto';
import type { Log } from '../observability/log.ts';
import { type Announcement, decodeAnnouncement, encodeAnnouncement } from './announcement.ts';
import type { AnnouncementStream } from './announcement-stream.ts';
import type { CommittedChange } from './change.ts';
import { coalesce } from './coalesce.ts';
import { createGenerations } from './generations.ts';
import { withDeadline } from './with-deadline.ts';

/**
 * The second way by which processes learn of changes, independent of PostgreSQL: a stream in Redis.
 *
 * The process that commits a change announces it before it answers. Every process also announces what it reads from PostgreSQL
 * and has not seen announced, and up to when it has read. A process that PostgreSQL does not answer therefore knows from any
 * other process that reaches both stores which changes there were, and up to when it knows all of them.
 */
export type Announcements = {
  /**
   * @param handlers.onChange another process announced a change. It may have been told before.
   * @param handlers.knownUntil up to when the database itself has told everything, by `performance.now()`.
   */
  start(handlers: { onChange(change: CommittedChange): void; knownUntil(): number }): void;
  /** Announces changes that were committed here. Resolves once others can read them, or if Redis is known not to answer. */
  publish(changes: readonly CommittedChange[]): Promise<void>;
  /** Announces a change that was read from the database, unless another process does. */
  relay(change: CommittedChange): void;
  /** Reports that everything committed before `askedAt` has been relayed. */
  databaseAnswered(server: string, askedAt: number): void;
  databaseFailed(): void;
  /** Reports that another database server took over, so others may know what it does not. */
  databaseReplaced(): void;
  /** Reads and announces now. */
  refresh(): Promise<void>;
  /** Up to when every change is known through announcements, by `performance.now()`. */
  knownUntil(): number;
  /** Whether announcements arrive now and are complete up to a moment ago. */
  areFollowed(): boolean;
  /** Whether changes may have been missed that the database has not told since. */
  hasMissed(): boolean;
  /** Whether every other process of the deployment says that the database does not answer it either. */
  isEveryoneCutOff(): boolean;
  close(): Promise<void>;
};

/** Another process, by when it was read of first and last. */
type Peer = { firstReadAt: number; lastReadAt: number; isCutOff: boolean };

const turnMs = 200;
/** A process says at least this often how it reaches the database. */
const sayEveryMs = 500;
const publishMs = 500;
/** Announcements that were read longer ago are not current. */
const readWithinMs = 1_000;
/** What others have read of the database may be so old: they poll, announce, and are read in turn. */
const knownWithinMs = 3_000;
/** A peer that was not heard for so long has ended. Until then it may be the one that still changes something. */
const peerMs = 15_000;
const maxChangesPerEntry = 100;
/** Above this number it costs less to say that something is missing. */
const maxPending = 5_000;
/** An announcement that did not come back from Redis within this time is repeated. */
const repeatAfterMs = 1_000;

export function createAnnouncements({ stream, log }: { stream: AnnouncementStream; log: Log }): Announcements {
  const self = randomBytes(9).toString('base64url');
  const peers = new Map<string, Peer>();
  /** Changes that have not been read back from Redis, and when they were sent last. */
  const pending = new Map<string, { change: CommittedChange; sentAt: number }>();
  const announced = createGenerations<string, true>(10_000, 100_000);
  let lastId: string | undefined;
  /** When the last successful reading was sent: whatever it did not return was appended later. */
  let readAt = Number.NEGATIVE_INFINITY;
  let completeUntil = Number.NEGATIVE_INFINITY;
  let missedAt = Number.NEGATIVE_INFINITY;
  let lastSaidAt = Number.NEGATIVE_INFINITY;
  let database: { server: string; askedAt: number; isNew: boolean } | undefined;
  let isCutOff = false;
  let isIncomplete = false;
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
      readAt = sentAt;
      return;
    }
    for (;;) {
      const sentAt = performance.now();
      const entries = await stream.after(lastId);
      if (!entries) {
        log.warn('announcements in Redis are missing: reading on from the newest one');
        lastId = undefined;
        peers.clear();
        noteMissed();
        isIncomplete = true;
        return await read();
      }
      for (const { id, entry } of entries) {
        const announcement = decodeAnnouncement(entry);
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
    if (announcement.isIncomplete) noteMissed();
    if (announcement.isLeaving) peers.delete(announcement.from);
    else takeState(announcement, now);
  }

  function takeState({ from, read: ofPeer, isCutOff: isPeerCutOff }: Announcement, now: number): void {
    const peer = peers.get(from) ?? { firstReadAt: now, lastReadAt: now, isCutOff: false };
    peers.set(from, peer);
    peer.lastReadAt = now;
    peer.isCutOff = isPeerCutOff === true;
    if (!ofPeer || !database) return;
    if (ofPeer.server !== database.server) noteMissed();
    // A peer announces what was committed since it started to follow. Earlier changes must be known already.
    else if (peer.firstReadAt <= knownUntil()) completeUntil = Math.max(completeUntil, readAt - ofPeer.ageMs);
  }

  /** Announces what is pending, and how this process reaches the database, in as few entries as hold it. */
  async function say(): Promise<void> {
    const now = performance.now();
    if (pending.size > maxPending) {
      pending.clear();
      isIncomplete = true;
    }
    const due = [...pending.values()].filter(({ sentAt }) => now - sentAt > repeatAfterMs);
    const isDue = due.length > 0 || database?.isNew || isIncomplete || now - lastSaidAt >= sayEveryMs;
    if (!isDue) return;
    for (const each of due) each.sentAt = now;
    // Answers that arrive while this is sent belong to the next announcement, together with their changes.
    const said = { read: database?.isNew ? database : undefined, isIncomplete };
    for (; due.length > maxChangesPerEntry; ) {
      await stream.append(encodeAnnouncement({ from: self, changes: changesIn(due.splice(0, maxChangesPerEntry)) }));
    }
    await stream.append(
      encodeAnnouncement({
        from: self,
        changes: changesIn(due),
        read: said.read && { server: said.read.server, ageMs: performance.now() - said.read.askedAt },
        isCutOff,
        isIncomplete,
      }),
    );
    if (said.read) said.read.isNew = false;
    if (said.isIncomplete) isIncomplete = false;
    lastSaidAt = now;
  }

  function isOfDue(change: CommittedChange): boolean {
    return !announced.get(keyOf(change)) && !pending.has(keyOf(change));
  }

  async function turn(): Promise<void> {
    try {
      await read();
      await say();
      if (isFailing) log.info('announcements through Redis are followed again');
      isFailing = false;
    } catch (error) {
      for (const each of pending.values()) each.sentAt = Number.NEGATIVE_INFINITY;
      if (!isFailing) log.warn({ error: (error as Error).message }, 'announcements through Redis cannot be followed');
      isFailing = true;
    }
  }

  /** Turns do not overlap, so announcements are read in order, and appended in the order in which changes were read. */
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
      // The database tells of a change in any case, so the answer waits neither long nor for a Redis that is known to be down.
      if (isReading()) await withDeadline(published, 'redis', publishMs).catch(() => undefined);
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
    refresh: turns.run,
    knownUntil: () => completeUntil,
    areFollowed: () => isReading() && performance.now() - completeUntil <= knownWithinMs,
    hasMissed,
    isEveryoneCutOff: () => {
      const now = performance.now();
      if (!isReading()) return false;
      for (const [name, { lastReadAt, isCutOff: isPeerCutOff }] of peers) {
        if (now - lastReadAt > peerMs) peers.delete(name);
        else if (!isPeerCutOff || now - lastReadAt > knownWithinMs) return false;
      }
      return true;
    },
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

function changesIn(pending: readonly { change: CommittedChange }[]): CommittedChange[] {
  return pending.map(({ change }) => change);
}
