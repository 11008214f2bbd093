import type { ClockCheck } from '../process/clock.ts';
import type { ChangeFeed } from '../storage/change.ts';
import type { Queryable } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { TokenStore } from '../tokens/token-store.ts';
import { type Log, logLoss } from './log.ts';

/** Condition that a process must meet to serve, such as a store that responds. */
type ReadinessCheck = {
  /** Member of the response of `/readyz` that lists the check. */
  group: 'stores' | 'checks';
  /** Name in that member, in snake_case. */
  name: string;
  /** Returns `ok`, or a short word for the problem. A rejection or a late result counts as `unavailable`. */
  examine(): string | Promise<string>;
  /**
   * Returns whether the check is already known to fail, without I/O: asked for every report, so that a lost connection
   * is reported at once.
   */
  isDown?(): boolean;
  /** Whether the process is not ready while the check fails. A check that is not required is only reported. */
  isRequired: boolean;
};

/** State of a process at the last refresh. */
type ReadinessReport = Record<ReadinessCheck['group'], Record<string, string>> & { isReady: boolean };

/**
 * Registry of readiness checks. The state is refreshed once a second and cached, so requests to `/readyz` put no load
 * on a store.
 */
export type Readiness = {
  /** Adds a check. Until it has run for the first time, it reports `starting`. */
  add(check: ReadinessCheck): void;
  /** Returns the cached state without querying any store. */
  report(): ReadinessReport;
  /** Runs all checks and repeats them once a second. Resolves after the first run, never rejects. */
  start(): Promise<void>;
  stop(): void;
};

const refreshEveryMs = 1_000;

/** The parts that the checks of every process examine. */
type Examined = {
  database: Queryable;
  tokenStore: Pick<TokenStore, 'name' | 'ping'>;
  /** Returns whether the connection to Redis is known to be lost. */
  isRedisDown(): boolean;
  feed: Pick<ChangeFeed, 'state'>;
  log: Log;
  clockCheck: Pick<ClockCheck, 'isRight'>;
};

/** Creates the registry with the checks of every process: stores, change feed, log and clock. */
export function createReadiness(examined: Examined): Readiness {
  const checks: { check: ReadinessCheck; state: string }[] = [];
  let timer: NodeJS.Timeout | undefined;

  // Every check has a deadline shorter than the interval, so runs do not overlap.
  const refresh = () =>
    Promise.all(
      checks.map(async (entry) => {
        entry.state = await stateOf(entry.check);
      }),
    );

  const readiness: Readiness = {
    add(check) {
      checks.push({ check, state: 'starting' });
    },
    report() {
      const report: ReadinessReport = { isReady: true, stores: {}, checks: {} };
      for (const { check, state: examined } of checks) {
        const state = check.isDown?.() ? 'unavailable' : examined;
        report[check.group][check.name] = state;
        if (check.isRequired && state !== 'ok') report.isReady = false;
      }
      return report;
    },
    async start() {
      await refresh();
      timer = setInterval(refresh, refreshEveryMs).unref();
    },
    stop: () => clearInterval(timer),
  };
  for (const check of commonChecks(examined)) readiness.add(check);
  return readiness;
}

function commonChecks({ database, tokenStore, isRedisDown, feed, log, clockCheck }: Examined): ReadinessCheck[] {
  const ok = () => 'ok';
  const examineClock = () => (clockCheck.isRight() ? 'ok' : 'differs_from_database');
  const pingTokenStore = {
    name: tokenStore.name === 'redis' ? 'redis' : 'tokens',
    examine: () => tokenStore.ping().then(ok),
    isDown: isRedisDown,
  };
  return [
    { group: 'stores', name: 'database', examine: () => database.query('SELECT 1').then(ok), isRequired: true },
    { group: 'stores', ...pingTokenStore, isRequired: true },
    { group: 'checks', name: 'changes', examine: feed.state, isRequired: true },
    { group: 'checks', name: 'log', examine: () => examineLog(log), isRequired: false },
    { group: 'checks', name: 'clock', examine: examineClock, isRequired: true },
  ];
}

/**
 * Reports whether log lines are being dropped. Requests are still served, because a restarted process would have the
 * same disk.
 */
function examineLog(log: Log): string {
  const { reason } = logLoss(log);
  return reason ? `dropping lines (${reason})` : 'ok';
}

async function stateOf({ examine }: ReadinessCheck): Promise<string> {
  try {
    return await withDeadline(Promise.resolve(examine()));
  } catch {
    return 'unavailable';
  }
}
