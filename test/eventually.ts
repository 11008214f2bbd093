import { setTimeout as delay } from 'node:timers/promises';

/** Polls until `holds` returns true, for a limited time. Returns the elapsed milliseconds. */
export async function eventually(holds: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<number> {
  const startedAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedAt > withinMs) throw new Error(`not within ${withinMs} ms: ${holds}`);
    await delay(5);
  }
  return performance.now() - startedAt;
}

/** Repeats a query until the condition holds. Fails with the last result. */
export async function eventuallyIs<T>(ask: () => Promise<T>, isSo: (seen: T) => boolean, withinMs: number): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const seen = await ask();
    if (isSo(seen)) return seen;
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms; last seen: ${JSON.stringify(seen)}`);
    await delay(20);
  }
}
