/**
 * Maximum number of concurrent statements. Other work still finds a free connection, and keys that arrive in between
 * share the next statement.
 */
const maxRunning = 3;
const maxKeys = 200;

type Waiting<T> = { resolve: (value: T | undefined) => void; reject: (error: unknown) => void };

/**
 * Combines concurrent look-ups of many keys into few statements: when all clients reconnect at once, one statement
 * loads hundreds of them. A single key is looked up without delay.
 * @param loadMany returns the values found, by key.
 */
export function batchLoads<T>(
  loadMany: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>,
): (key: string) => Promise<T | undefined> {
  const queue = new Map<string, Waiting<T>[]>();
  let running = 0;

  function start(): void {
    while (running < maxRunning && queue.size > 0) {
      const batch = new Map([...queue].slice(0, maxKeys));
      for (const key of batch.keys()) queue.delete(key);
      running += 1;
      void load(batch).finally(() => {
        running -= 1;
        start();
      });
    }
  }

  async function load(batch: ReadonlyMap<string, readonly Waiting<T>[]>): Promise<void> {
    try {
      const found = await loadMany([...batch.keys()]);
      for (const [key, waiting] of batch) for (const { resolve } of waiting) resolve(found.get(key));
    } catch (error) {
      for (const waiting of batch.values()) for (const { reject } of waiting) reject(error);
    }
  }

  return (key) =>
    new Promise((resolve, reject) => {
      const waiting = queue.get(key);
      if (waiting) waiting.push({ resolve, reject });
      else queue.set(key, [{ resolve, reject }]);
      // Keys requested in the same turn of the event loop share a statement.
      if (queue.size === 1) setImmediate(start);
      else if (running === 0) start();
    });
}
