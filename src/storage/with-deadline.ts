import { StoreUnavailable } from '../errors.ts';

/**
 * Maximum time that a public request waits for a store, so that any answer, even a 503, is sent within 300 ms on a busy
 * machine too.
 */
export let storeDeadlineMs = 200;

/**
 * Sets the limit of this process. Tests that are not about the limit set a long one, because their stores share the
 * processors with them.
 */
export function setStoreDeadline(milliseconds: number): void {
  storeDeadlineMs = milliseconds;
}

/** Rejects after the time limit. The work itself continues, and its late result is dropped. */
export function withDeadline<T>(
  work: Promise<T>,
  store: 'database' | 'redis' = 'database',
  milliseconds = storeDeadlineMs,
): Promise<T> {
  return new Promise((resolve, reject) => {
    // Wait for immediates, so that an answer that arrived while this process was busy is still accepted.
    const expire = () =>
      setImmediate(() => reject(new StoreUnavailable(store, `no response within ${milliseconds} ms`)));
    const timer = setTimeout(expire, milliseconds);
    work.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(error);
      },
    );
  });
}
