import type { Cluster, Redis } from 'ioredis';
import type { ChangeKind, CommittedChange } from './change.ts';
import type { Queryable } from './database.ts';
import { withDeadline } from './with-deadline.ts';

/** A bounded, ordered log in Redis that every process appends to and reads. */
export type AnnouncementStream = {
  /** Appends an entry and returns its id. */
  append(entry: string): Promise<string>;
  /**
   * Returns the entries after this ID, or undefined if the entry with this ID is missing. Other entries may be missing
   * then, too: Redis restarted empty or with an older state, or the reader was so slow that the oldest entries were
   * removed. `entry` is undefined if this deployment has not written it.
   */
  after(id: string): Promise<{ id: string; entry: string | undefined }[] | undefined>;
  /** Returns the entries of the two seconds before the one with this ID that this deployment has written. */
  before(id: string): Promise<string[]>;
  /**
   * Returns all entries that this deployment has written.
   * @param waitMs how long to wait for each page, in milliseconds.
   */
  all(waitMs?: number): Promise<string[]>;
};

/** Signs entries with a key of this deployment, for one stream. */
export type EntrySigner = {
  sign(stream: string, entry: string): string;
  /** Returns undefined for a value that `sign` has not made for this stream. */
  read(stream: string, signed: string): string | undefined;
};

/**
 * Number of entries to keep, about a minute with ten processes. Redis removes whole blocks of entries, so it keeps some
 * more.
 */
const maxEntries = 2_000;
const pageSize = 500;
/**
 * Number of entries that a start reads at a time: few enough that a slow connection delivers them before ioredis gives
 * the command up.
 */
const historyPageSize = 50;
const deadlineMs = 500;

/**
 * Opens the stream of this database. Deployments that share a Redis database and prefix by mistake do not read each
 * other's changes, which would look like lost ones (loss-check.ts). A standby that is promoted keeps both parts of the
 * name. Entries are signed, because an attacker with write access to Redis could otherwise make a process repeat the end
 * of secrets or clients that never ended.
 */
export async function openAnnouncementStream(
  redis: Redis | Cluster,
  database: Queryable,
  prefix: string,
  signer: EntrySigner,
): Promise<AnnouncementStream> {
  const [row] = await database.query<{ name: string }>(
    `SELECT left(md5(current_database() || ' ' || coalesce(split_part(database_timeline(), '.', 1), '')), 12) AS name`,
  );
  const key = `${prefix}changes:${row?.name}`;
  return {
    append: async (entry) => {
      const added = redis.xadd(key, 'MAXLEN', '~', maxEntries, '*', 'm', signer.sign(key, entry));
      const id = await withDeadline(added, 'redis', deadlineMs);
      if (id === null) throw new Error('XADD returned no id');
      return id;
    },
    after: async (id) => {
      // Include the known entry in the range, to detect that it is missing.
      const rows = await withDeadline(redis.xrange(key, id, '+', 'COUNT', pageSize), 'redis', deadlineMs);
      if (rows[0]?.[0] !== id) return undefined;
      return rows.slice(1).map(([entryId, [, entry = '']]) => ({ id: entryId, entry: signer.read(key, entry) }));
    },
    before: async (id) => {
      const since = Math.max(0, Number(id.split('-')[0]) - 2_000);
      const rows = await withDeadline(redis.xrange(key, String(since), id, 'COUNT', pageSize), 'redis', deadlineMs);
      return rows.flatMap(([, [, signed = '']]) => signer.read(key, signed) ?? []);
    },
    all: async (waitMs = deadlineMs) => {
      const entries: string[] = [];
      for (let from = '-'; ; ) {
        const rows = await patiently(() => redis.xrange(key, from, '+', 'COUNT', historyPageSize), waitMs);
        for (const [, [, signed = '']] of rows) {
          const entry = signer.read(key, signed);
          if (entry !== undefined) entries.push(entry);
        }
        if (rows.length < historyPageSize) return entries;
        from = `(${rows.at(-1)?.[0]}`;
      }
    },
  };
}

/** A message from one process to all others. */
export type Announcement = {
  /** Identifies the process; random at each start. */
  from: string;
  changes: readonly CommittedChange[];
  /**
   * The last read of the database: the database server, and how many milliseconds ago the read began. Every change that
   * was visible then is in this or an earlier announcement. Undefined if the database has not answered since the last
   * announcement.
   */
  read?: { server: string; ageMs: number } | undefined;
  /** Whether the database does not answer this process. */
  isCutOff?: boolean | undefined;
  /** Whether changes may be missing from the announcements, so that they must be read from the database. */
  isIncomplete?: boolean | undefined;
  /** The id of the last entry that the process has read and applied. */
  applied?: string | undefined;
  /** Whether the process is shutting down. */
  isLeaving?: boolean | undefined;
};

type Encoded = {
  f: string;
  c?: [seq: number, kind: ChangeKind, target: string, expiresAt: number][];
  r?: [server: string, ageMs: number];
  a?: string;
  s?: 'cut-off' | 'incomplete' | 'leaving';
};

/** Encodes an announcement as short JSON. Older versions ignore members that they do not know. */
export function encodeAnnouncement({ from, changes, read, applied, ...state }: Announcement): string {
  const encoded: Encoded = { f: from };
  if (changes.length > 0) {
    encoded.c = changes.map(({ seq, kind, target, expiresAt }) => [seq, kind, target, expiresAt.getTime()]);
  }
  if (read) encoded.r = [read.server, Math.ceil(read.ageMs)];
  if (applied !== undefined) encoded.a = applied;
  if (state.isLeaving) encoded.s = 'leaving';
  else if (state.isIncomplete) encoded.s = 'incomplete';
  else if (state.isCutOff) encoded.s = 'cut-off';
  return JSON.stringify(encoded);
}

/** Returns undefined for an entry that is not an announcement. */
export function decodeAnnouncement(text: string): Announcement | undefined {
  try {
    const { f: from, c = [], r, a, s } = JSON.parse(text) as Encoded;
    if (typeof from !== 'string') return undefined;
    return {
      from,
      changes: c.map(([seq, kind, target, expiresAt]) => ({ seq, kind, target, expiresAt: new Date(expiresAt) })),
      read: r && { server: r[0], ageMs: Math.max(0, Number(r[1])) },
      applied: a === undefined ? undefined : String(a),
      isCutOff: s === 'cut-off',
      isIncomplete: s === 'incomplete',
      isLeaving: s === 'leaving',
    };
  } catch {
    return undefined;
  }
}

/** Repeats a command that ioredis has given up, for a wait that can be longer than the time limit of a command (redis.ts). */
async function patiently<T>(ask: () => Promise<T>, waitMs: number): Promise<T> {
  const until = performance.now() + waitMs;
  for (;;) {
    const left = Math.max(0, until - performance.now());
    try {
      return await withDeadline(ask(), 'redis', left);
    } catch (error) {
      if ((error as Error).message !== 'Command timed out' || performance.now() >= until) throw error;
    }
  }
}
