import { setTimeout as delay } from 'node:timers/promises';

/** Waits until `holds` is true, at most so long. Returns how many milliseconds it took. */
export async function eventually(holds: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<number> {
  const startedAt = performance.now();
  while (!(await holds())) {
    if (performance.now() - startedAt > withinMs) throw new Error(`not within ${withinMs} ms: ${holds}`);
    await delay(5);
  }
  return performance.now() - startedAt;
}
