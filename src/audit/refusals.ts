import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import { type Actor, type AuditEvent, appendAuditEvent, type CommitChange } from './audit-log.ts';

/** Rejected request of the admin listener. */
export type Refusal = Pick<AuditEvent, 'action' | 'targetType' | 'target'> & {
  actor: Actor;
  /** Method and route of the request, without any value. */
  request: string;
};

/**
 * Records rejected requests in the audit log, in a bounded number of events: the first of each target in a minute at
 * once, the rest of that minute as one event with their number.
 */
export type Refusals = {
  /** Never rejects. */
  record(refusal: Refusal): Promise<void>;
  /** Ends the minute and writes the refusals that were only counted. Never rejects. */
  flush(): Promise<void>;
  close(): Promise<void>;
};

const windowMs = 60_000;
/**
 * Maximum number of targets recorded individually in a minute. Refusals of further targets are recorded together, so
 * that many addresses cannot fill the log.
 */
const maxTargets = 10;
const maxRequests = 10;

type Counted = { refusal: Refusal; since: Date; unwritten: number; requests: Set<string> };

export function startRefusals(deps: { clock: Clock; log: Log; change: CommitChange }): Refusals {
  const { clock, log, change } = deps;
  let counted = new Map<string, Counted>();

  async function write(all: readonly Counted[]): Promise<void> {
    const at = new Date(clock());
    try {
      await change(async (transaction) => {
        for (const { refusal, since, unwritten, requests } of all) {
          const { request: _first, ...event } = refusal;
          const after = { attempts: unwritten, since, requests: [...requests] };
          await appendAuditEvent(transaction, { ...event, at, after });
        }
      });
    } catch (error) {
      log.warn(
        { error: (error as Error).message, refusals: all.length },
        'failed to record rejected requests in the audit log',
      );
    }
  }

  async function record(given: Refusal): Promise<void> {
    const { action, target } = given;
    let key = `${action} ${target}`;
    let refusal = given;
    if (!counted.has(key) && counted.size >= maxTargets) {
      key = `${action} *`;
      refusal = { ...given, target: '*', actor: { id: 'unknown', name: '', address: null } };
    }
    const known = counted.get(key);
    if (known) {
      known.unwritten += 1;
      if (known.requests.size < maxRequests) known.requests.add(given.request);
      return;
    }
    const first = { refusal, since: new Date(clock()), unwritten: 1, requests: new Set([given.request]) };
    counted.set(key, { ...first, unwritten: 0, requests: new Set() });
    await write([first]);
  }

  async function flush(): Promise<void> {
    const rest = [...counted.values()].filter(({ unwritten }) => unwritten > 0);
    counted = new Map();
    if (rest.length > 0) await write(rest);
  }

  const timer = setInterval(() => void flush(), windowMs).unref();
  return {
    record,
    flush,
    close: async () => {
      clearInterval(timer);
      await flush();
    },
  };
}
