import { StoreUnavailable } from '../errors.ts';

/** What a request on the public listener may wait for a store: its answer must be there within 300 ms, be it 503, on a busy machine too. */
export const storeDeadlineMs = 200;

/** The work itself goes on; its late result is dropped. */
export function withDeadline<T>(
  work: Promise<T>,
  store: 'database' | 'redis' = 'database',
  milliseconds = storeDeadlineMs,
): Promise<T> {
  return new Promise((resolve, reject) => {
    // An answer that has arrived while this process was busy counts: it is read before the immediates are run.
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
