import { KeyturnError, NotFound } from '../../errors.ts';

/** What a form can be sent again for: wrong input, a state that does not allow it, or a revision that is not the last. */
const correctable = [400, 409, 412, 422];

/** Tries what a form asks for. What can be put right comes back, to be said beside the form; anything else is an error page. */
export async function attempt<T>(work: () => Promise<T>): Promise<{ done: T } | { problem: KeyturnError }> {
  try {
    return { done: await work() };
  } catch (error) {
    if (error instanceof KeyturnError && correctable.includes(error.status)) return { problem: error };
    throw error;
  }
}

/** What is asked for, or undefined where there is no such thing. */
export async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  return await asked.catch((error: unknown) => {
    if (error instanceof NotFound) return undefined;
    throw error;
  });
}
