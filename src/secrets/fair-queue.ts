import { KeyturnError } from '../errors.ts';

/** Runs expensive work, a few at a time, in a bounded queue. */
export type FairQueue = {
  /**
   * Runs work as soon as it is its turn.
   * @param source whom the work is done for. Sources take turns, so one that asks for much does not delay the others.
   * @throws {KeyturnError} 503 `temporarily_unavailable` if too much work is waiting, in total or for this source.
   */
  run<T>(source: string, work: () => Promise<T>): Promise<T>;
};

/** Limits of a queue. */
type Limits = { running: number; waiting: number; waitingOfSource: number };

/** Creates an empty queue. @param onFull called for each work that is refused. */
export function createFairQueue(limits: Limits, onFull: () => void): FairQueue {
  /** Waiting work by source, in the order in which the sources take turns. */
  const queues = new Map<string, (() => void)[]>();
  let waiting = 0;
  let running = 0;

  function startNext(): void {
    const [next] = queues;
    if (running >= limits.running || !next) return;
    const [source, queue] = next;
    const start = queue.shift();
    queues.delete(source);
    if (queue.length > 0) queues.set(source, queue);
    waiting -= 1;
    running += 1;
    start?.();
  }

  async function turn(source: string): Promise<void> {
    const queue = queues.get(source) ?? [];
    if (waiting >= limits.waiting || queue.length >= limits.waitingOfSource) {
      onFull();
      throw new KeyturnError(
        'temporarily_unavailable',
        503,
        'Service unavailable: too many imported secrets are being verified. Try again shortly.',
        { detail: `${waiting} verifications are waiting` },
      );
    }
    await new Promise<void>((resolve) => {
      queue.push(resolve);
      queues.set(source, queue);
      waiting += 1;
      startNext();
    });
  }

  return {
    run: async (source, work) => {
      await turn(source);
      try {
        return await work();
      } finally {
        running -= 1;
        startNext();
      }
    },
  };
}
