import type { Cluster, Redis } from 'ioredis';
import { withDeadline } from './with-deadline.ts';

/** A bounded, ordered log in Redis that every process appends to and reads. */
export type AnnouncementStream = {
  /** Appends an entry and returns its id. */
  append(entry: string): Promise<string>;
  /**
   * Returns the entries after this ID, or undefined if the entry with this ID is missing. Other entries may be missing
   * then, too: Redis restarted empty or with an older state, or the reader was so slow that the oldest entries were
   * removed.
   */
  after(id: string): Promise<{ id: string; entry: string }[] | undefined>;
};

/**
 * Number of entries to keep, about a minute with ten processes. Redis removes whole blocks of entries, so it keeps some
 * more.
 */
const maxEntries = 2_000;
const pageSize = 500;
const deadlineMs = 500;

export function createAnnouncementStream(redis: Redis | Cluster, key: string): AnnouncementStream {
  return {
    append: async (entry) => {
      const id = await withDeadline(redis.xadd(key, 'MAXLEN', '~', maxEntries, '*', 'm', entry), 'redis', deadlineMs);
      if (id === null) throw new Error('XADD returned no id');
      return id;
    },
    after: async (id) => {
      // Include the known entry in the range, to detect that it is missing.
      const rows = await withDeadline(redis.xrange(key, id, '+', 'COUNT', pageSize), 'redis', deadlineMs);
      if (rows[0]?.[0] !== id) return undefined;
      return rows.slice(1).map(([entryId, [, entry = '']]) => ({ id: entryId, entry }));
    },
  };
}
