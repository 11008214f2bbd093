import cluster, { type Worker } from 'node:cluster';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from './log.ts';
import { superviseMetrics } from './worker-metrics.ts';

const firstBackOffMs = 200;
const maxBackOffMs = 10_000;
/** A worker that served this long was well: the next one starts at once. */
const wellAfterMs = 30_000;

/** Whether this process is one of the workers. */
export function isWorker(): boolean {
  return cluster.isWorker;
}

/** Tells the supervisor that this worker serves. */
export function reportReady(): void {
  process.send?.('ready');
}

/**
 * Keeps `count` processes serving on the same ports until SIGTERM or SIGINT. One that dies is replaced, with back-off; SIGHUP
 * replaces all of them one after the other, each only once its successor serves.
 *
 * The listening socket stays with this process, which hands connections out (node:cluster): so a worker that ends takes no waiting
 * connection with it, as it would where each had a socket of its own (SO_REUSEPORT).
 */
export async function superviseWorkers(count: number, log: Log): Promise<void> {
  superviseMetrics();
  let ending = false;
  let backOffMs = firstBackOffMs;
  const replaced = new Set<Worker>();
  const slots: (Worker | undefined)[] = Array.from({ length: count });

  /** Starts a worker; resolves with whether it came to serve. */
  function start(slot: number): Promise<boolean> {
    const worker = cluster.fork();
    const startedAt = performance.now();
    const isReady = new Promise<boolean>((resolve) => {
      worker.on('message', (message) => message === 'ready' && resolve(true));
      worker.once('exit', () => resolve(false));
    });
    worker.once('exit', (code, signal) => {
      if (ending || replaced.delete(worker)) return;
      if (performance.now() - startedAt > wellAfterMs) backOffMs = firstBackOffMs;
      log.error({ pid: worker.process.pid, code, signal, back_off_ms: backOffMs }, 'a worker died and is replaced');
      slots[slot] = undefined;
      setTimeout(() => void (ending || replace(slot)), backOffMs);
      backOffMs = Math.min(backOffMs * 2, maxBackOffMs);
    });
    return isReady.then((ready) => {
      if (ready) slots[slot] = worker;
      return ready;
    });
  }

  async function replace(slot: number): Promise<void> {
    const before = slots[slot];
    if (!(await start(slot)) || !before) return;
    replaced.add(before);
    before.process.kill('SIGTERM');
  }

  async function restart(): Promise<void> {
    log.info('workers are replaced one after the other');
    for (let slot = 0; slot < count && !ending; slot++) await replace(slot);
  }

  const ended = new Promise<string>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  let restarting = Promise.resolve();
  process.on('SIGHUP', () => {
    restarting = restarting.then(restart);
  });

  const started = await Promise.all(slots.map((_, slot) => start(slot)));
  if (started.every((ready) => !ready)) {
    process.exitCode = 1;
    ending = true;
  } else {
    log.info({ workers: count }, 'all workers serve');
    const signal = await ended;
    ending = true;
    log.info({ signal }, 'ending all workers');
  }
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM');
  while (Object.keys(cluster.workers ?? {}).length > 0) await delay(20);
}
