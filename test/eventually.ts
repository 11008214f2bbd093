import { setTimeout as delay } from 'node:timers/promises';

/**
 * Limit for things that happen at once on an idle machine. It is no promise about time: it only names what a test
 * waited for, before the time limit of the test ends it without a reason.
 */
const limitMs = 100_000;

/** Polls until `holds` returns true. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const startedAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedAt > limitMs) throw new Error(`not within ${limitMs} ms: ${holds}`);
    await delay(5);
  }
}

/** Repeats a query until the condition holds. Returns the result. Fails with the last result. */
export async function eventuallyIs<T>(ask: () => Promise<T>, isSo: (seen: T) => boolean): Promise<T> {
  const startedAt = performance.now();
  for (;;) {
    const seen = await ask();
    if (isSo(seen)) return seen;
    if (performance.now() - startedAt > limitMs) {
      throw new Error(`not within ${limitMs} ms; last seen: ${JSON.stringify(seen)}`);
    }
    await delay(20);
  }
}
