import { StoreUnavailable } from '../errors.ts';

/**
 * What a request on the public listener may wait for a store: its answer must be there within 300 ms, be it 503, on a busy machine too.
 * The work itself goes on; its late result is dropped.
 */
export async function withDeadline<T>(
  work: Promise<T>,
  store: 'database' | 'redis' = 'database',
  milliseconds = 200,
): Promise<T> {
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
