/**
 * What is remembered for a while, and then forgotten by the generation: dropping a whole map costs nothing. Nothing older is ever told;
 * the memory itself is given up at the next use.
 */
export type Generations<K, V> = { get(key: K): V | undefined; set(key: K, value: V): void };

/**
 * @param ms how long a value is remembered at least; at most twice as long.
 * @param max values of one generation; beyond that, nothing more is remembered until the next one.
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
