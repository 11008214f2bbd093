import { LRUCache } from 'lru-cache';
import type { Change, ChangeKind } from './change.ts';
import type { ChangeFeed } from './change-feed.ts';
import { withDeadline } from './with-deadline.ts';

/** What a process keeps of a store's rows, forgotten as soon as any process announces that they changed. */
export type FollowedCache<T extends object> = {
  /**
   * From memory, or loaded: many who ask at once cause one load.
   * @throws {StoreUnavailable} when it must be loaded and cannot be, or when what is known is too old to serve.
   */
  get(key: string): Promise<T | undefined>;
  /**
   * Like `get`, but includes every change that was committed before the call. Used before something is refused.
   * @param since when the request began, by `performance.now()`: what was loaded after that is returned as it is.
   * @throws {StoreUnavailable} also if the value is cached, but the database cannot tell whether it has changed.
   */
  getRecent(key: string, since?: number): Promise<T | undefined>;
  /** From memory alone; undefined means "not known here", never "does not exist". */
  peek(key: string): T | undefined;
  /** How often it was known in memory, and how often it had to be loaded. */
  readonly counts: { memory: number; database: number };
};

const maxAgeMs = 300_000;
/** The changes of a row are followed, and what is refused is also read again once it is older than this. */
const recentMs = 1_000;
/** Keys that do not exist are remembered apart, so that asking for many of them pushes nothing else out. */
const maxAbsent = 1_000;

export function createFollowedCache<T extends object>(options: {
  feed: ChangeFeed;
  kind: ChangeKind;
  maxEntries: number;
  load: (key: string) => Promise<T | undefined>;
}): FollowedCache<T> {
  const { feed, kind, load } = options;
  const present = new LRUCache<string, T>({ max: options.maxEntries });
  const absent = new LRUCache<string, number>({ max: maxAbsent, ttl: maxAgeMs });
  const loadedAt = new WeakMap<T, number>();
  const loading = new Map<string, Promise<T | undefined>>();
  const counts = { memory: 0, database: 0 };

  const forget = (change: Change) => {
    if (change.kind !== kind) return;
    present.delete(change.target);
    absent.delete(change.target);
    // What is being loaded may have been read before the change: it is answered to who asked, but not kept.
    loading.delete(change.target);
  };
  feed.subscribe(forget, () => {
    present.clear();
    absent.clear();
    loading.clear();
  });

  function loadOnce(key: string): Promise<T | undefined> {
    const running = loading.get(key);
    if (running) return running;
    const started = load(key).then(
      (value) => {
        if (loading.get(key) !== started) return value;
        loading.delete(key);
        if (value) {
          loadedAt.set(value, performance.now());
          present.set(key, value);
          absent.delete(key);
        } else {
          present.delete(key);
          absent.set(key, performance.now());
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
      // Follow-ups make entries current; the age only bounds what a mistake in them could do. A failing reload keeps the entry.
      if (performance.now() - (loadedAt.get(known) ?? 0) > maxAgeMs) loadOnce(key).catch(() => undefined);
      return known;
    },
    getRecent: async (key, since = Number.POSITIVE_INFINITY) => {
      if (!feed.isFresh()) await feed.whenFresh();
      const lookedAt = () => {
        const known = present.get(key);
        return (known ? loadedAt.get(known) : absent.get(key)) ?? Number.NEGATIVE_INFINITY;
      };
      if (lookedAt() >= since) return present.get(key);
      const isRecent = () => performance.now() - lookedAt() < recentMs;
      // Forgets what has changed. Either way costs one statement, as does a key that does not exist.
      if (isRecent()) await withDeadline(feed.sync());
      if (isRecent()) return present.get(key);
      counts.database += 1;
      return await withDeadline(loadOnce(key));
    },
    peek: (key) => {
      const known = feed.isFresh() ? present.get(key) : undefined;
      if (known) counts.memory += 1;
      // Too old is for `get` to see to.
      return known && performance.now() - (loadedAt.get(known) ?? 0) <= maxAgeMs ? known : undefined;
    },
  };
}
