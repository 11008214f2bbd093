import { KeyturnError, NotFound } from '../../errors.ts';

/** Statuses that a user can fix and submit again: invalid input, a conflicting state, or an outdated revision. */
const correctable = [400, 409, 412, 422];

/**
 * Runs a form's action. Errors that the user can fix are returned, to be shown with the form; all others are thrown and
 * become an error page.
 */
export async function attempt<T>(work: () => Promise<T>): Promise<{ done: T } | { problem: KeyturnError }> {
  try {
    return { done: await work() };
  } catch (error) {
    if (error instanceof KeyturnError && correctable.includes(error.status)) return { problem: error };
    throw error;
  }
}

/** Resolves to the value, or to undefined if the call fails with `NotFound`. */
export async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  return await asked.catch((error: unknown) => {
    if (error instanceof NotFound) return undefined;
    throw error;
  });
}
