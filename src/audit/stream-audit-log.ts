import type { AuditStreamTarget } from '../configuration/audit-streams.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database } from '../storage/database.ts';
import type { AuditAnchor } from './audit-chain.ts';
import { sendToStream } from './send-stream.ts';
import { eventColumns, recordsOf, type StoredEvent } from './stream-records.ts';
import { advanceStream, claimStream, delayStream, registerStreams, type StreamClaim } from './stream-store.ts';

const everyMs = 2_000;
const batchSize = 500;
/** Maximum duration of one attempt. It is shorter than the lease, so that no other process sends meanwhile. */
const attemptMs = 60_000;
const leaseMs = 90_000;
const firstPauseMs = 1_000;
const longestPauseMs = 5 * 60_000;
/** Time for attempts that run when the process shuts down. */
const shutdownMs = 5_000;

/** Sends the audit log to receivers outside. Any number of processes can do so; one at a time sends to a target. */
export type AuditStreams = {
  /** Sends everything that is due now, and resolves when that is done. Never rejects. */
  turn(): Promise<void>;
  /** Sends in the background from now on. */
  start(): void;
  close(): Promise<void>;
};

type Deps = { database: Database; clock: Clock; log: Log; issuer: string; auditStreams: readonly AuditStreamTarget[] };

/**
 * Creates the streams of the configured targets. An event is sent again if its acceptance is not known, so a target can
 * get it twice, with the same number and HMAC.
 */
export function createAuditStreams({ database, clock, log, issuer, auditStreams: targets }: Deps): AuditStreams {
  const { hostname } = new URL(issuer);
  const running = new Map<string, Promise<void>>();
  const stop = new AbortController();
  let isStopped = false;
  let isRegistered = false;
  let timer: NodeJS.Timeout | undefined;

  async function sendAll(target: AuditStreamTarget): Promise<void> {
    while (!isStopped) {
      const claim = await claimStream(database, target.name, new Date(clock()), leaseMs);
      if (!claim || !(await sendBatch(target, claim))) return;
    }
  }

  /** Returns whether the batch was accepted. */
  async function sendBatch(target: AuditStreamTarget, claim: StreamClaim): Promise<boolean> {
    const now = new Date(clock());
    try {
      const found = await database.query<StoredEvent>(
        `SELECT ${eventColumns} FROM audit_events WHERE seq > $1 ORDER BY seq LIMIT ${batchSize}`,
        [claim.seq],
      );
      // The anchor is read later, so that events that have erased values of the batch are before it.
      const [anchor] = await database.query<AuditAnchor>('SELECT * FROM audit_anchor');
      const events = found.filter(({ seq }) => seq <= (anchor?.seq ?? 0));
      const last = events.at(-1);
      if (!anchor || !last) throw new Error('The events after the last one that was sent are missing.');
      const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(attemptMs)]);
      await sendToStream(target, { records: recordsOf(events, anchor, claim.mac, now), hostname, now }, signal);
      await advanceStream(database, claim, last, now);
      return true;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const reason = (code === undefined ? message : `The receiver cannot be reached: ${code}.`).slice(0, 200);
      log.warn({ stream: target.name, error: reason }, 'failed to send audit events');
      const pause = Math.min(firstPauseMs * 2 ** Math.min(claim.attempts, 20), longestPauseMs);
      await delayStream(database, claim, { reason, at: now, nextAt: new Date(clock() + pause) });
      return false;
    }
  }

  async function turn(): Promise<void> {
    if (targets.length === 0 || isStopped) return;
    try {
      if (!isRegistered) {
        const names = targets.map(({ name }) => name);
        await registerStreams(database, names);
        isRegistered = true;
      }
    } catch (error) {
      log.warn({ error: (error as Error).message }, 'failed to register audit streams');
      return;
    }
    for (const target of targets) {
      if (running.has(target.name)) continue;
      const work = sendAll(target)
        .catch((error: Error) => log.warn({ stream: target.name, error: error.message }, 'failed to read audit events'))
        .finally(() => running.delete(target.name));
      running.set(target.name, work);
    }
    await Promise.all(running.values());
  }

  return {
    turn,
    start: () => {
      if (targets.length > 0) timer ??= setInterval(() => void turn(), everyMs).unref();
    },
    close: async () => {
      isStopped = true;
      clearInterval(timer);
      const end = setTimeout(() => stop.abort(), shutdownMs);
      await Promise.all(running.values());
      clearTimeout(end);
    },
  };
}
