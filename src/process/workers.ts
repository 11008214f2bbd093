import cluster, { type Worker } from 'node:cluster';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../observability/log.ts';
import { superviseMetrics } from '../observability/worker-metrics.ts';

const firstBackOffMs = 200;
const maxBackOffMs = 10_000;
/** A worker that ran this long was healthy, so the back-off begins again. */
const wellAfterMs = 30_000;
/** Longer than a worker takes to drain. */
const endWithinMs = 30_000;

/** Whether this process is one of the workers. */
export function isWorker(): boolean {
  return cluster.isWorker;
}

/** Tells the supervisor that this worker serves. */
export function reportReady(): void {
  process.send?.('ready');
}

/** One of the places that a worker fills. At most one worker serves in it, and at most one is being started to take over. */
type Slot = {
  serving: Worker | undefined;
  /** Resolves with whether the worker came to serve. */
  starting: Promise<boolean> | undefined;
  backOff: NodeJS.Timeout | undefined;
};

/**
 * Keeps `count` processes serving on the same ports until SIGTERM or SIGINT. A worker that dies is replaced, with back-off. SIGHUP
 * replaces all workers one after the other, each only when its successor serves.
 *
 * The listening socket stays with this process, which hands connections out (node:cluster). A worker that ends therefore takes no
 * waiting connection with it, as it would if each had a socket of its own (SO_REUSEPORT).
 */
export async function superviseWorkers(count: number, log: Log): Promise<void> {
  superviseMetrics();
  let ending = false;
  let backOffMs = firstBackOffMs;
  /** Workers that were replaced and are draining. */
  const retired = new Set<Worker>();
  const slots = Array.from(
    { length: count },
    (): Slot => ({ serving: undefined, starting: undefined, backOff: undefined }),
  );

  /** Starts a worker that takes the slot over when it serves. While one is being started, returns that one. */
  function fill(slot: Slot): Promise<boolean> {
    clearTimeout(slot.backOff);
    slot.starting ??= fork(slot).finally(() => {
      slot.starting = undefined;
      if (!slot.serving) fillLater(slot);
    });
    return slot.starting;
  }

  function fork(slot: Slot): Promise<boolean> {
    const worker = cluster.fork();
    const startedAt = performance.now();
    return new Promise<boolean>((resolve) => {
      worker.on('message', (message) => {
        if (message !== 'ready') return;
        const before = slot.serving;
        slot.serving = worker;
        if (before) retire(before);
        resolve(true);
      });
      worker.once('exit', (code, signal) => {
        resolve(false);
        if (ending || retired.delete(worker)) return;
        if (performance.now() - startedAt > wellAfterMs) backOffMs = firstBackOffMs;
        log.error({ pid: worker.process.pid, code, signal, back_off_ms: backOffMs }, 'worker died, starting another');
        if (slot.serving !== worker) return;
        slot.serving = undefined;
        if (!slot.starting) fillLater(slot);
      });
    });
  }

  function retire(worker: Worker): void {
    retired.add(worker);
    worker.process.kill('SIGTERM');
  }

  function fillLater(slot: Slot): void {
    if (ending) return;
    clearTimeout(slot.backOff);
    slot.backOff = setTimeout(() => void fill(slot), backOffMs);
    backOffMs = Math.min(backOffMs * 2, maxBackOffMs);
  }

  async function replaceAll(): Promise<void> {
    log.info('replacing workers one after the other');
    for (const slot of slots) {
      // A worker that is being started may have read files that are older than the signal.
      await slot.starting;
      if (!ending) await fill(slot);
    }
  }

  const ended = new Promise<string>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  let replacing = Promise.resolve();
  process.on('SIGHUP', () => {
    replacing = replacing.then(replaceAll);
  });

  const started = Promise.all(slots.map(fill)).then((ready) => ready.some(Boolean));
  const first = await Promise.race([started, ended]);
  if (first === false) {
    process.exitCode = 1;
  } else {
    if (first === true) log.info({ workers: count }, 'all workers serve');
    log.info({ signal: await ended }, 'shutting down all workers');
  }
  ending = true;
  for (const slot of slots) clearTimeout(slot.backOff);
  await endWorkers();
}

/** Lets every worker answer its requests; kills those that have not ended after the time limit. */
async function endWorkers(): Promise<void> {
  const workers = () => Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  const deadline = performance.now() + endWithinMs;
  for (const worker of workers()) worker.process.kill('SIGTERM');
  while (workers().length > 0) {
    await delay(20);
    if (performance.now() > deadline) for (const worker of workers()) worker.process.kill('SIGKILL');
  }
}
