import cluster, { type Worker } from 'node:cluster';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../observability/log.ts';
import { superviseMetrics } from '../observability/worker-metrics.ts';

const firstBackOffMs = 200;
const maxBackOffMs = 10_000;
/** A worker that ran this long was healthy, so the back-off is reset. */
const wellAfterMs = 30_000;
/** Time limit for workers to exit after SIGTERM, longer than a worker takes to drain. */
const endWithinMs = 30_000;

/** Returns whether this process is a worker. */
export function isWorker(): boolean {
  return cluster.isWorker;
}

/**
 * Returns whether this process is the worker that is started first, alone. Its ports are open during its start, so that
 * they tell what the start waits for. A later worker opens them when it serves, because the supervisor would send it
 * requests that another worker can answer.
 */
export function isFirstWorker(): boolean {
  return cluster.worker?.id === 1;
}

/** Tells the supervisor that this worker accepts requests. */
export function reportReady(): void {
  process.send?.('ready');
}

/** Position of one worker. At most one worker serves in it, and at most one more is being started to replace it. */
type Slot = {
  serving: Worker | undefined;
  /** Resolves to whether the new worker began to serve. */
  starting: Promise<boolean> | undefined;
  backOff: NodeJS.Timeout | undefined;
};

/**
 * Keeps `count` worker processes serving on the same ports until SIGTERM or SIGINT. Replaces a worker that exits
 * unexpectedly, with back-off. On SIGHUP, replaces all workers one after the other, each only when its successor
 * serves.
 *
 * The listening socket belongs to this process, which hands connections to the workers (node:cluster). A worker that
 * exits therefore loses no waiting connection, as it would with its own socket (SO_REUSEPORT).
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

  /**
   * Starts a worker that replaces the slot's current worker when it serves. Returns the pending start if one is in
   * progress.
   */
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
        log.error({ pid: worker.process.pid, code, signal, back_off_ms: backOffMs }, 'worker exited, starting another');
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
    log.info('replacing workers one by one');
    for (const slot of slots) {
      // A worker that is already starting may have read files older than the signal.
      await slot.starting;
      if (!ending) await fill(slot);
    }
  }

  /** Starts the first worker, then the others. Returns false if the first one fails, because the others would too. */
  async function startAll(): Promise<boolean> {
    const [first] = slots;
    if (first && !(await fill(first))) return false;
    await Promise.all(slots.map((slot) => slot.serving !== undefined || fill(slot)));
    return true;
  }

  const ended = new Promise<string>((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  let replacing = Promise.resolve();
  process.on('SIGHUP', () => {
    replacing = replacing.then(replaceAll);
  });

  const started = startAll();
  const first = await Promise.race([started, ended]);
  if (first === false) {
    process.exitCode = 1;
  } else {
    if (first === true) log.info({ workers: count }, 'all workers are ready');
    log.info({ signal: await ended }, 'shutting down all workers');
  }
  ending = true;
  for (const slot of slots) clearTimeout(slot.backOff);
  await endWorkers();
}

/** Lets every worker finish its requests, and kills those that have not exited after the time limit. */
async function endWorkers(): Promise<void> {
  const workers = () => Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  const deadline = performance.now() + endWithinMs;
  for (const worker of workers()) worker.process.kill('SIGTERM');
  while (workers().length > 0) {
    await delay(20);
    if (performance.now() > deadline) for (const worker of workers()) worker.process.kill('SIGKILL');
  }
}
