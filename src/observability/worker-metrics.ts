import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { CollectedMetrics } from '../internals/prom-client.ts';
import { addUpMetrics } from './metrics.ts';

/** Messages between workers and their supervisor while one worker is scraped. */
type Message =
  | { metrics: 'wanted'; request: number }
  | { metrics: 'give'; request: number }
  | { metrics: 'given'; request: number; collected: CollectedMetrics }
  | { metrics: 'all'; request: number; collected: CollectedMetrics[] };

/** Time that the supervisor waits for a worker. After it, the worker's last known metrics are used. */
const waitMs = 500;
/** Number of ended workers whose last metrics are kept before they are added up. */
const maxEnded = 20;

/**
 * Collects metrics of all workers in the supervisor. Keeps the last metrics of each worker, including those that have
 * ended, so that no sum ever decreases, which would be interpreted as a restart.
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

  /** Adds up the metrics of ended workers, so that memory does not grow with their number. */
  async function addUpEnded(): Promise<void> {
    isAdding = true;
    const added = [...ended];
    const sum = await addUpMetrics(added);
    ended = [sum, ...ended.slice(added.length)];
    isAdding = false;
  }
}

/** Responds to the supervisor's requests for metrics. Does nothing in a process that is no worker. */
export function giveMetrics(collect: () => Promise<CollectedMetrics>): void {
  if (!cluster.isWorker) return;
  process.on('message', (message: Message) => {
    if (message?.metrics !== 'give') return;
    const { request } = message;
    collect().then((collected) => send(process, { metrics: 'given', request, collected }));
  });
}

let requests = 0;

/** Collects the metrics of all workers, or only this process's own if it is no worker. */
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

/** Sends a message. Ignores errors, because the receiver may just have exited. */
function send(to: Worker | NodeJS.Process, message: Message): void {
  to.send?.(message, undefined, undefined, () => undefined);
}
