import { StoreUnavailable } from '../errors.ts';
import type { Log } from '../observability/log.ts';
import type { Announcements } from './announcements.ts';
import type { FreshnessState } from './change.ts';

export type Freshness = {
  /** Returns whether cached values may be used. */
  isUsable(): boolean;
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
 * @param deps.isChecked returns whether the database is known to have every change that is known.
 * @param deps.isSuspect returns whether the database is known to lack changes, or to continue another history.
 * @param deps.staleAlways whether cached values are used for `staleSeconds` even if other processes may still commit
 * changes. Otherwise they are used only if PostgreSQL answers no process of the deployment, so that nothing can change.
 */
export function createFreshness(deps: {
  knownUntil: () => number;
  isChecked: () => boolean;
  isSuspect: () => boolean;
  announcements: Announcements | undefined;
  staleSeconds: number;
  staleAlways: boolean;
  log: Log;
}): Freshness {
  const { knownUntil, isChecked, isSuspect, announcements, staleSeconds, staleAlways, log } = deps;
  let logged: FreshnessState = 'current';

  const lagMs = () => performance.now() - Math.max(knownUntil(), announcements?.knownUntil() ?? 0);
  const isCurrent = () => performance.now() - knownUntil() <= currentForMs;
  const isKnownOld = () => !isCurrent() && announcements?.hasMissed() === true;

  const isWithinStaleTime = () => lagMs() <= staleSeconds * 1_000;
  /** Returns whether no process of the deployment could make changes that this one does not know. */
  const isAlone = () => !isKnownOld() && announcements?.isEveryoneCutOff() === true && isWithinStaleTime();

  function state(): FreshnessState {
    // While a server is compared, cached values are as good as they were before it answered, and no others are used.
    if (!isChecked()) return isAlone() && !isSuspect() ? 'stale' : 'unchecked';
    if (isCurrent()) return 'current';
    if (!isKnownOld() && announcements?.areFollowed()) return 'announced';
    return isAlone() || (staleAlways && isWithinStaleTime()) ? 'stale' : 'unknown';
  }

  const isUsable = () => {
    const now = state();
    return now !== 'unknown' && now !== 'unchecked';
  };

  return {
    state,
    isUsable,
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
export function requireUsable(freshness: Pick<Freshness, 'state' | 'isUsable' | 'lagMs'>): void {
  if (freshness.isUsable()) return;
  const problem =
    freshness.state() === 'unchecked'
      ? 'another database server may have lost changes'
      : `changes unknown for ${Math.round(freshness.lagMs())} ms`;
  throw new StoreUnavailable('database', problem);
}

const texts: Record<FreshnessState, string> = {
  current: 'reading changes from PostgreSQL again',
  announced: 'PostgreSQL does not respond, reading changes from Redis and answering from caches',
  stale: 'changes may be missed, answering from caches for KEYTURN_STALE_SECONDS',
  unknown: 'changes may be missed, answering 503',
  unchecked: 'another database server may have lost changes, answering 503',
};
