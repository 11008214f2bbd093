import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { addUpMetrics, type CollectedMetrics } from './metrics.ts';

/** What workers and their supervisor send each other when somebody scrapes one of them. */
type Message =
  | { metrics: 'wanted'; request: number }
  | { metrics: 'give'; request: number }
  | { metrics: 'given'; request: number; collected: CollectedMetrics }
  | { metrics: 'all'; request: number; collected: CollectedMetrics[] };

/** A worker that has not told its numbers after so long is told with its last ones. */
const waitMs = 500;
/** So many workers' last numbers are kept before they are added up. */
const maxEnded = 20;

/**
 * The supervisor's part: it asks every worker, and remembers what each has told last, also of those that have ended. So no sum ever
 * falls, which would be taken for a restart.
 */
export function superviseMetrics(): void {
  const latest = new Map<number, CollectedMetrics>();
  let ended: CollectedMetrics[] = [];
  let isAdding = false;
  let requests = 0;

  async function collectAll(): Promise<CollectedMetrics[]> {
    const request = ++requests;
    const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
    await Promise.all(workers.map((worker) => collectFrom(worker, request)));
    return [...latest.values(), ...ended];
  }

  async function collectFrom(worker: Worker, request: number): Promise<void> {
    const given = new Promise<void>((resolve) => {
      const hear = (message: Message) => {
        if (message?.metrics !== 'given' || message.request !== request) return;
        if (!worker.isDead()) latest.set(worker.id, message.collected);
        worker.off('message', hear);
        resolve();
      };
      worker.on('message', hear);
      setTimeout(() => worker.off('message', hear), waitMs * 2).unref();
    });
    send(worker, { metrics: 'give', request });
    await Promise.race([given, once(worker, 'exit'), delay(waitMs, undefined, { ref: false })]);
  }

  cluster.on('message', (worker, message: Message) => {
    if (message?.metrics !== 'wanted') return;
    const { request } = message;
    collectAll().then((collected) => send(worker, { metrics: 'all', request, collected }));
  });
  cluster.on('exit', (worker) => {
    const last = latest.get(worker.id);
    if (!last) return;
    latest.delete(worker.id);
    ended.push(last.filter(({ type }) => ['counter', 'histogram'].includes(String(type))));
    if (ended.length > maxEnded && !isAdding) void addUpEnded();
  });

  /** Of however many workers that have ended, one sum is kept. */
  async function addUpEnded(): Promise<void> {
    isAdding = true;
    const added = [...ended];
    const sum = await addUpMetrics(added);
    ended = [sum, ...ended.slice(added.length)];
    isAdding = false;
  }
}

/** A worker's part. */
export function giveMetrics(collect: () => Promise<CollectedMetrics>): void {
  if (!cluster.isWorker) return;
  process.on('message', (message: Message) => {
    if (message?.metrics !== 'give') return;
    const { request } = message;
    collect().then((collected) => send(process, { metrics: 'given', request, collected }));
  });
}

let requests = 0;

/** Those of all workers, where there are several; otherwise this process's own. */
export async function collectFromWorkers(own: () => Promise<CollectedMetrics>): Promise<CollectedMetrics[]> {
  if (!cluster.isWorker) return [await own()];
  const request = ++requests;
  const all = new Promise<CollectedMetrics[]>((resolve) => {
    const hear = (message: Message) => {
      if (message?.metrics !== 'all' || message.request !== request) return;
      process.off('message', hear);
      resolve(message.collected);
    };
    process.on('message', hear);
  });
  send(process, { metrics: 'wanted', request });
  return await all;
}

/** To whoever may just have ended: then there is nobody to be told. */
function send(to: Worker | NodeJS.Process, message: Message): void {
  to.send?.(message, undefined, undefined, () => undefined);
}
