import { LRUCache } from 'lru-cache';

/**
 * Creates a cache of the most recently used entries that grows as it fills. lru-cache's option `max` reserves the memory
 * of all entries at once.
 */
export function createGrowingCache<K extends {}, V extends {}>(maxEntries: number): LRUCache<K, V> {
  return new LRUCache<K, V>({ maxSize: maxEntries, sizeCalculation: () => 1 });
}
