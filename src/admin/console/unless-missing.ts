import { NotFound } from '../../errors.ts';

/** What is asked for, or undefined where there is no such thing. */
export async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  return await asked.catch((error: unknown) => {
    if (error instanceof NotFound) return undefined;
    throw error;
  });
}
