import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import type { DeliveryOutcome, NoticeChannel } from './channel.ts';
import { addressNotices, type Claim, claimDeliveries, settleDeliveries } from './delivery-store.ts';
import { findNotices } from './notice-store.ts';

const everyMs = 5_000;
/** Maximum number of receivers that this process delivers to at the same time. */
const maxLanes = 8;
/** Maximum duration of one attempt. It is shorter than the lease, so that no other process delivers meanwhile. */
const attemptMs = 60_000;
const leaseMs = 90_000;
/** Time for attempts that run when the process shuts down. */
const shutdownMs = 5_000;

/** Delivers notices from the tables that changes and the scheduler write. Any number of processes can do so. */
export type Notices = {
  /** Delivers everything that is due now, and resolves when that is done. Never rejects. */
  turn(): Promise<void>;
  /** Delivers in the background from now on: every few seconds. */
  start(): void;
  close(): Promise<void>;
};

type Deps = { database: Database; clock: Clock; log: Log; channels: readonly NoticeChannel[] };

/** @param tellDue stores the notices whose moment has come. */
export function createNotices({ database, clock, log, channels }: Deps, tellDue: () => Promise<void>): Notices {
  const lanes = new Set<Promise<void>>();
  const stop = new AbortController();
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let preparing: Promise<void> = Promise.resolve();

  /** Runs the steps before a delivery one after the other, because they are the same for all turns. */
  function prepare(): Promise<void> {
    preparing = preparing
      .then(tellDue)
      .catch((error: Error) => log.warn({ error: error.message }, 'failed to determine due notices'))
      .then(async () => {
        while (!isStopped && (await addressNotices(database, channels, clock())));
      })
      .catch((error: Error) => log.warn({ error: error.message }, 'failed to address notices'));
    return preparing;
  }

  /** Delivers to one receiver after another until nothing is due. Each that is found starts a further lane. */
  async function runLane(): Promise<void> {
    while (!isStopped) {
      const claim = await claimDeliveries(database, channels, clock(), leaseMs);
      if (!claim) return;
      startLane();
      await settleDeliveries(database, claim, await attempt(claim), clock());
    }
  }

  function startLane(): void {
    if (isStopped || lanes.size >= maxLanes) return;
    const lane: Promise<void> = runLane()
      .catch((error: Error) => log.warn({ error: error.message }, 'failed to deliver notices'))
      .finally(() => lanes.delete(lane));
    lanes.add(lane);
  }

  async function attempt({
    channel,
    receiver,
    notices: ids,
  }: Claim): Promise<readonly (DeliveryOutcome | undefined)[]> {
    try {
      const notices = await findNotices(database, ids);
      const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(attemptMs)]);
      return await channel.deliver(receiver, notices, signal);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.warn({ channel: channel.name, error: reason }, 'failed to deliver notices');
      return ids.map(() => ({ as: 'retry', reason, isUnknown: true }));
    }
  }

  async function turn(): Promise<void> {
    await prepare();
    startLane();
    while (lanes.size > 0) await Promise.all(lanes);
  }

  return {
    turn,
    start: () => {
      timer ??= setInterval(() => void turn(), everyMs).unref();
    },
    close: async () => {
      isStopped = true;
      clearInterval(timer);
      const end = setTimeout(() => stop.abort(), shutdownMs);
      await preparing;
      await Promise.all(lanes);
      clearTimeout(end);
    },
  };
}
