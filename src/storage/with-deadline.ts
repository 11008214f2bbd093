import { StoreUnavailable } from '../errors.ts';

/**
 * What a request on the public listener may wait for a store: the answer within 300 ms must be there in time, be it 503.
 * The work itself goes on; its late result is dropped.
 */
export async function withDeadline<T>(work: Promise<T>, store: 'database' | 'redis' = 'database'): Promise<T> {
  const milliseconds = 250;
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new StoreUnavailable(store, `no answer within ${milliseconds} ms`)),
          milliseconds,
        );
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
