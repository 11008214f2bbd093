import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { WatchedTask } from './service-watchdog.ts';

/** A running store. */
export type Service = { url: string; stop: () => Promise<void> };

/** Rejects as long as the store at `url` does not answer. */
export type Answers = (url: string) => Promise<void>;

type Watched = { readonly ended: boolean; stop: () => Promise<void> };

/** Starts a watchdog for `task`. It cleans up on `stop`, and when this process ends in any way. */
export function startWatched(task: WatchedTask): Watched {
  const watchdog = fileURLToPath(new URL('./service-watchdog.ts', import.meta.url));
  // The watchdog needs its own session: Ctrl-C must end the test run, not the process that cleans up after it.
  const child = spawn(process.execPath, [watchdog, JSON.stringify(task)], {
    detached: true,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  let ended = false;
  exited.then(
    () => {
      ended = true;
    },
    () => undefined,
  );
  child.stdin.on('error', () => undefined);
  child.unref();
  (child.stdin as unknown as { unref: () => void }).unref();
  return {
    get ended() {
      return ended;
    },
    stop: async () => {
      if (ended) return;
      child.ref();
      child.stdin.end('stop\n');
      await exited;
    },
  };
}

/** Polls until the watched process has ended, or for `withinMs` milliseconds. */
export async function awaitAnswer(answers: () => Promise<void>, watched?: Watched, withinMs = 30_000): Promise<void> {
  const until = Date.now() + withinMs;
  for (;;) {
    try {
      return await answers();
    } catch (error) {
      if (watched?.ended) throw new Error('it ended at once');
      if (Date.now() > until) throw error;
      await delay(50);
    }
  }
}
