import { StoreUnavailable } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import type { Announcements } from './announcements.ts';
import type { FreshnessState } from './change.ts';

export type Freshness = {
  state(): FreshnessState;
  /** Returns the milliseconds since the last time up to which every committed change is known. */
  lagMs(): number;
  /** Returns whether other processes are known to have made changes that this process does not know. */
  isKnownOld(): boolean;
  /** Logs a change of the state, and returns the state. */
  watch(): FreshnessState;
};

/** Maximum time since the last complete read from PostgreSQL for the state `current`. */
const currentForMs = 1_000;

/**
 * Decides from memory alone whether cached values may be used.
 * @param deps.knownUntil returns the time up to which all changes were read from PostgreSQL, by `performance.now()`.
 * @param deps.staleAlways whether cached values are used for `staleSeconds` even if other processes may still commit
 * changes. Otherwise they are used only if PostgreSQL answers no process of the deployment, so that nothing can change.
 */
export function createFreshness(deps: {
  knownUntil: () => number;
  announcements: Announcements | undefined;
  staleSeconds: number;
  staleAlways: boolean;
  log: Log;
}): Freshness {
  const { knownUntil, announcements, staleSeconds, staleAlways, log } = deps;
  let logged: FreshnessState = 'current';

  const lagMs = () => performance.now() - Math.max(knownUntil(), announcements?.knownUntil() ?? 0);
  const isCurrent = () => performance.now() - knownUntil() <= currentForMs;
  const isKnownOld = () => !isCurrent() && announcements?.hasMissed() === true;

  function state(): FreshnessState {
    if (isCurrent()) return 'current';
    const isOld = isKnownOld();
    if (!isOld && announcements?.areFollowed()) return 'announced';
    const mayBeStale = staleAlways || (!isOld && announcements?.isEveryoneCutOff() === true);
    return mayBeStale && lagMs() <= staleSeconds * 1_000 ? 'stale' : 'unknown';
  }

  return {
    state,
    lagMs,
    isKnownOld,
    watch: () => {
      const now = state();
      if (now !== logged) {
        const text = texts[now];
        if (now === 'current') log.info(text);
        else log.warn({ lag_ms: Math.round(lagMs()) }, text);
      }
      logged = now;
      return now;
    },
  };
}

/** @throws {StoreUnavailable} if cached values may not be used. */
export function requireUsable(freshness: Pick<Freshness, 'state' | 'lagMs'>): void {
  if (freshness.state() !== 'unknown') return;
  throw new StoreUnavailable('database', `changes unknown for ${Math.round(freshness.lagMs())} ms`);
}

const texts: Record<FreshnessState, string> = {
  current: 'reading changes from PostgreSQL again',
  announced: 'PostgreSQL does not respond, reading changes from Redis and answering from caches',
  stale: 'changes may be missed, answering from caches for KEYTURN_STALE_SECONDS',
  unknown: 'changes may be missed, answering 503',
};
