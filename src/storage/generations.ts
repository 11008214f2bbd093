/**
 * A cache that drops its entries one generation at a time, which costs nothing per entry. Expired entries are never
 * returned; their memory is released at the next call.
 */
export type Generations<K, V> = { get(key: K): V | undefined; set(key: K, value: V): void };

/**
 * Creates an empty cache.
 * @param ms minimum time in milliseconds that a value is cached; the maximum is twice as long.
 * @param max number of values per generation; further values are not cached until the next one.
 */
export function createGenerations<K, V>(ms: number, max: number): Generations<K, V> {
  let young = new Map<K, V>();
  let old = new Map<K, V>();
  let bornAt = performance.now();

  function age(): void {
    const generations = Math.floor((performance.now() - bornAt) / ms);
    if (generations === 0) return;
    old = generations === 1 ? young : new Map();
    young = new Map();
    bornAt += generations * ms;
  }

  return {
    get: (key) => {
      age();
      return young.get(key) ?? old.get(key);
    },
    set: (key, value) => {
      age();
      if (young.size < max) young.set(key, value);
    },
  };
}
