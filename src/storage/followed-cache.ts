import { LRUCache } from 'lru-cache';
import type { Change, ChangeFeed, ChangeKind } from './change.ts';
import { createGrowingCache } from './growing-cache.ts';
import { withDeadline } from './with-deadline.ts';

/** A cache of database rows that drops an entry as soon as any process announces a change of it. */
export type FollowedCache<T extends object> = {
  /**
   * Returns the cached value, or loads it. Concurrent callers share one load.
   * @throws {StoreUnavailable} if the value must be loaded and cannot be, or if cached values are too old to serve.
   */
  get(key: string): Promise<T | undefined>;
  /**
   * Returns the value including every change that was committed before the request began. Used before a request is
   * rejected. Costs one statement, which rejections of other values share, and a load only if the value has changed.
   * @param since when the request began, by `performance.now()`; a value that was read since then needs no statement.
   * @throws {StoreUnavailable} also if the value is cached, but the database cannot report whether it has changed.
   */
  getRecent(key: string, since?: number): Promise<T | undefined>;
  /** Returns the cached value. Undefined means that it is not cached, not that it does not exist. */
  peek(key: string): T | undefined;
  /** Number of reads answered from the cache, and number of loads. */
  readonly counts: { memory: number; database: number };
};

const maxAgeMs = 300_000;
/**
 * Maximum number of cached missing keys. They have their own cache, so that requests for many of them evict no values.
 */
const maxAbsent = 1_000;

export function createFollowedCache<T extends object>(options: {
  feed: ChangeFeed;
  kind: ChangeKind;
  maxEntries: number;
  load: (key: string) => Promise<T | undefined>;
}): FollowedCache<T> {
  const { feed, kind, load } = options;
  const present = createGrowingCache<string, T>(options.maxEntries);
  const absent = new LRUCache<string, number>({ max: maxAbsent, ttl: maxAgeMs });
  /** When the load of each value began, which is before the state that it returned. */
  const loadedAt = new WeakMap<T, number>();
  const loading = new Map<string, Promise<T | undefined>>();
  const counts = { memory: 0, database: 0 };

  const forgetAll = () => {
    present.clear();
    absent.clear();
    loading.clear();
  };
  const forget = (change: Change) => {
    if (change.kind === `all_${kind}s`) forgetAll();
    if (change.kind !== kind) return;
    present.delete(change.target);
    absent.delete(change.target);
    // Do not cache the result of a running load, which may predate the change. Its callers still get it.
    loading.delete(change.target);
  };
  feed.subscribe(forget, forgetAll);

  /** Loads again if another database server answered meanwhile, after that server was checked for lost changes. */
  async function loadChecked(key: string): Promise<T | undefined> {
    for (;;) {
      const value = await load(key);
      if (feed.isChecked()) return value;
      // Cached values may be usable before the server is checked, so waiting for that is not enough.
      await feed.sync();
    }
  }

  function loadOnce(key: string): Promise<T | undefined> {
    const running = loading.get(key);
    if (running) return running;
    const startedAt = performance.now();
    const started = loadChecked(key).then(
      (value) => {
        if (loading.get(key) !== started) return value;
        loading.delete(key);
        if (value) {
          loadedAt.set(value, startedAt);
          present.set(key, value);
          absent.delete(key);
        } else {
          present.delete(key);
          absent.set(key, startedAt);
        }
        return value;
      },
      (error) => {
        if (loading.get(key) === started) loading.delete(key);
        throw error;
      },
    );
    loading.set(key, started);
    return started;
  }

  return {
    counts,
    get: async (key) => {
      if (!feed.isFresh()) await feed.whenFresh();
      const known = present.get(key);
      counts[known || absent.has(key) ? 'memory' : 'database'] += 1;
      if (!known) return absent.has(key) ? undefined : await withDeadline(loadOnce(key));
      // Reload old entries in the background and keep them if that fails. Changes are followed, so the age limit only
      // bounds the effect of a bug there.
      if (performance.now() - (loadedAt.get(known) ?? 0) > maxAgeMs) loadOnce(key).catch(() => undefined);
      return known;
    },
    getRecent: async (key, since = performance.now()) => {
      if (!feed.isFresh()) await feed.whenFresh();
      const isRead = () => {
        const known = present.get(key);
        return ((known ? loadedAt.get(known) : absent.get(key)) ?? Number.NEGATIVE_INFINITY) >= since;
      };
      // Fetch new changes, which drops outdated entries. A value that was just read waits for the same turn, so that the
      // response time does not show whether it was cached.
      await withDeadline(feed.syncSince(isRead() ? Number.NEGATIVE_INFINITY : since));
      if (present.has(key) || absent.has(key)) return present.get(key);
      counts.database += 1;
      return await withDeadline(loadOnce(key));
    },
    peek: (key) => {
      const known = feed.isFresh() ? present.get(key) : undefined;
      if (known) counts.memory += 1;
      // Leave old entries to `get`, which reloads them.
      return known && performance.now() - (loadedAt.get(known) ?? 0) <= maxAgeMs ? known : undefined;
    },
  };
}
