import type { Log } from '../observability/log.ts';
import type { Announcements } from './announcements.ts';
import type { CommittedChange } from './change.ts';
import type { Database } from './database.ts';

/**
 * Finds committed changes that the database has lost. A standby that is promoted may lack the last commits of its
 * primary, and a restored backup lacks everything later, so what they had revoked or disabled would be valid again.
 *
 * Each process remembers the changes that it has seen, and the Redis stream holds the latest announcements. Whenever
 * another database server answers, and at the start, both are compared with the table `changes` before cached or loaded
 * values are used.
 */
export type LossCheck = {
  /** Remembers a committed change. */
  note(change: CommittedChange): void;
  /** Returns whether the server that answers now was compared. */
  isDone(): boolean;
  /** Returns whether the server that answers now is known to lack changes, or to continue another history. */
  isSuspect(): boolean;
  /** Reports that another server may answer from now on. */
  distrust(): void;
  /**
   * Compares the server unless that is done, and repairs what it has lost.
   * @returns whether changes were committed by a repair.
   */
  run(): Promise<boolean>;
  /**
   * Compares the server.
   * @returns whether it continues the history of the one that this process compared before: it was restarted on the same
   * timeline and has every change that is known, also those whose loss another process has repaired.
   */
  isContinued(): Promise<boolean>;
};

/** Changes that the database has lost. */
export type Loss = {
  changes: readonly CommittedChange[];
  /** Whether more may be lost than is known, so that no token may stay valid. */
  isUnbounded: boolean;
  /** The timeline that was compared; null if it is unknown. */
  timeline: string | null;
};

/** Number of changes to remember, about 3 MB. If even the oldest one is lost, every token ends. */
const maxKnown = 10_000;
/** How long a start waits for the announcements in Redis, in milliseconds. No request waits for it yet. */
const startWaitMs = 5_000;

/** Number of changes to compare in one statement, so that a busy database is in time. */
const batchSize = 500;

/**
 * Returns the lost changes of a batch; without any, one row of null. Ignores rows that are about to expire, because they
 * may have been deleted. Revocations outlive their token by this.
 */
const compareSql = `
  WITH known AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[]) WITH ORDINALITY AS k (seq, kind, target, expires_at, nth)
    WHERE expires_at > now() + interval '1 minute'
  )
  SELECT seq, kind, target, expires_at AS "expiresAt", nth = first AS "isOldest", first IS NULL AS "isExpired",
    EXISTS (SELECT FROM lost_changes l WHERE l.seq = k.seq AND l.kind = k.kind AND l.target = k.target) AS "isRepaired"
  FROM (SELECT min(nth) AS first FROM known) f LEFT JOIN known k
    ON NOT EXISTS (SELECT FROM changes c WHERE c.seq = k.seq AND c.kind = k.kind AND c.target = k.target)
  ORDER BY nth`;

/** @property isOldest whether no older change is known. */
type LostChange = CommittedChange & { isOldest: boolean; isRepaired: boolean };
type ComparedRow = (LostChange | { seq: null }) & { isExpired: boolean };

/**
 * @param deps.repair restores in one transaction what lost changes had ended.
 */
export function createLossCheck(deps: {
  database: Database;
  announcements: Announcements | undefined;
  log: Log;
  repair: (loss: Loss) => Promise<boolean>;
}): LossCheck {
  const { database, announcements, log, repair } = deps;
  /** In the order in which they became known. */
  const known = new Map<string, CommittedChange>();
  let hasFollowed = false;
  /** The timeline of the server whose changes this process follows. The database may have stored a later one. */
  let followed: string | null = null;
  let isDone = false;
  let isSuspect = false;
  /** Increases with each `distrust`, so that a comparison that began earlier does not count. */
  let doubts = 0;

  function note(change: CommittedChange): void {
    const key = `${change.seq} ${change.kind} ${change.target}`;
    if (known.has(key)) return;
    known.set(key, change);
    if (known.size > maxKnown) known.delete(known.keys().next().value as string);
  }

  /** Notes the changes in the Redis stream. Returns whether there are any. */
  async function noteAnnounced(isRequired: boolean): Promise<boolean> {
    if (!announcements) return false;
    let announced: readonly CommittedChange[] = [];
    try {
      announced = await announcements.history(hasFollowed ? undefined : startWaitMs);
    } catch (error) {
      if (isRequired) throw error;
    }
    for (const change of announced) note(change);
    return announced.length > 0;
  }

  /** Compares, and repairs what is missing. `isWhole`: nothing that is known is lost. */
  async function compare(): Promise<{ hasRepaired: boolean; isWhole: boolean; timeline: string | null }> {
    const [state] = await database.query<{ timeline: string | null; checked: string | null }>(
      'SELECT database_timeline() AS timeline, (SELECT timeline FROM database_check) AS checked',
    );
    const { timeline = null, checked = null } = state ?? {};
    const isNewTimeline = timeline !== null && timeline !== checked;
    const wasAnnounced = await noteAnnounced(isNewTimeline || !hasFollowed);
    const lost = await findLost(database, [...known.values()]);
    const missing = lost.filter(({ isRepaired }) => !isRepaired);
    const knowsNothing = !hasFollowed && !wasAnnounced;
    const isUnbounded = missing.some(({ isOldest }) => isOldest) || (isNewTimeline && knowsNothing);
    isSuspect = missing.length > 0 || isNewTimeline;
    if (!isSuspect) return { hasRepaired: false, isWhole: lost.length === 0, timeline };
    const changes = missing.map(({ seq, kind, target, expiresAt }) => ({ seq, kind, target, expiresAt }));
    return { hasRepaired: await repair({ changes, isUnbounded, timeline }), isWhole: false, timeline };
  }

  /** Notes the latest changes of the database as the oldest known ones, so that an unknown loss before them is noticed. */
  async function noteStored(): Promise<void> {
    const later = [...known.values()];
    const stored = await database.query<CommittedChange>(
      'SELECT seq, kind, target, expires_at AS "expiresAt" FROM changes ORDER BY seq DESC LIMIT 1000',
    );
    known.clear();
    for (const change of stored.reverse()) note(change);
    for (const change of later) note(change);
  }

  async function check(): ReturnType<typeof compare> {
    const began = doubts;
    const result = await compare().catch((error: Error) => {
      log.warn({ error: error.message }, 'cannot compare the database with known changes, answering 503');
      throw error;
    });
    if (!hasFollowed) await noteStored();
    hasFollowed = true;
    isDone = began === doubts;
    if (isDone) isSuspect = false;
    followed ??= result.timeline;
    return { ...result, isWhole: result.isWhole && isDone };
  }

  const distrust = () => {
    isDone = false;
    doubts += 1;
  };
  database.watchServer?.(distrust);
  return {
    note,
    isDone: () => isDone,
    isSuspect: () => isSuspect,
    distrust,
    run: async () => !isDone && (await check()).hasRepaired,
    isContinued: async () => {
      const { isWhole, timeline } = await check();
      const isSame = timeline !== null && timeline === followed;
      followed = timeline;
      return isWhole && isSame;
    },
  };
}

/** Returns the changes that the database lacks, of changes in the order in which they became known. */
async function findLost(database: Database, changes: readonly CommittedChange[]): Promise<LostChange[]> {
  const lost: LostChange[] = [];
  let isFirst = true;
  for (let start = 0; start < changes.length; start += batchSize) {
    const batch = changes.slice(start, start + batchSize);
    const rows = await database.query<ComparedRow>(compareSql, [
      batch.map(({ seq }) => seq),
      batch.map(({ kind }) => kind),
      batch.map(({ target }) => target),
      batch.map(({ expiresAt }) => expiresAt),
    ]);
    for (const row of rows) {
      if (row.seq !== null) lost.push({ ...row, isOldest: row.isOldest && isFirst });
    }
    isFirst &&= rows.every(({ isExpired }) => isExpired);
  }
  return lost;
}
