import { setTimeout as delay } from 'node:timers/promises';

const realNow = performance.now.bind(performance);
let ahead = 0;

/** Longest step that a server takes for a pause and not for overload (http/overload.ts). */
const stepMs = 800;
/** Time in which each server in this process has noticed a step. */
const noticeMs = 150;

/**
 * Moves the monotonic clock of this process forward. Everything that `performance.now` decides, such as the age of a
 * cache entry, is then as after a sleep. Timers and the wall clock do not move.
 */
export function jump(ms: number): void {
  performance.now = () => realNow() + ahead;
  ahead += ms;
}

/** Moves the monotonic clock of a process with servers, which take a long jump for overload. */
export async function passTime(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= stepMs) {
    jump(Math.min(left, stepMs));
    await delay(noticeMs);
  }
}

afterAll(() => {
  performance.now = realNow;
});
