import { withDeadline } from '../storage/with-deadline.ts';

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

export function createReadiness(): Readiness {
  const checks: { check: ReadinessCheck; state: string }[] = [];
  let timer: NodeJS.Timeout | undefined;

  // Every check has a deadline shorter than the interval, so runs do not overlap.
  const refresh = () =>
    Promise.all(
      checks.map(async (entry) => {
        entry.state = await stateOf(entry.check);
      }),
    );

  return {
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
}

async function stateOf({ examine }: ReadinessCheck): Promise<string> {
  try {
    return await withDeadline(Promise.resolve(examine()));
  } catch {
    return 'unavailable';
  }
}
