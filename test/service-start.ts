import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { WatchedTask } from './service-watchdog.ts';

/** A store that runs. */
export type Service = { url: string; way: string; stop: () => Promise<void> };

/** Rejects as long as the store at `url` does not answer. */
export type Answers = (url: string) => Promise<void>;

export type Watched = { readonly ended: boolean; stop: () => Promise<void> };

/** Starts a watchdog for `task`: what it watches ends with `stop`, and with this process, in whatever way that ends. */
export function startWatched(task: WatchedTask): Watched {
  const watchdog = fileURLToPath(new URL('./service-watchdog.ts', import.meta.url));
  // A session of its own: Ctrl-C must reach who holds the pipe, not who cleans up after it.
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

/** Asks until there is an answer: for 30 seconds, or until what is watched has ended. */
export async function awaitAnswer(answers: () => Promise<void>, watched?: Watched): Promise<void> {
  const until = Date.now() + 30_000;
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
