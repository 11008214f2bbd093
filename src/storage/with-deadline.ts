import { StoreUnavailable } from '../errors.ts';

/**
 * How long a request on the public listener waits for a store. The answer, even a 503, must be sent within 300 ms on a
 * busy machine too.
 */
export const storeDeadlineMs = 200;

/** Rejects after the time limit. The work itself continues and its late result is dropped. */
export function withDeadline<T>(
  work: Promise<T>,
  store: 'database' | 'redis' = 'database',
  milliseconds = storeDeadlineMs,
): Promise<T> {
  return new Promise((resolve, reject) => {
    // An answer that arrived while this process was busy still counts: it is read before immediates run.
    const expire = () => setImmediate(() => reject(new StoreUnavailable(store, `no answer within ${milliseconds} ms`)));
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
