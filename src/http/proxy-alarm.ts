import type { Log } from '../observability/log.ts';
import type { Metrics } from '../observability/metrics.ts';
import { type ProxyProblem, proxyProblemMessages } from './proxy-settings.ts';

/** Reports a problem. @param peer address of the connection's other end. */
export type ProxyAlarm = (problem: ProxyProblem, peer: string) => void;

/** Minimum time between two log lines about the same problem, because every request can have it. */
const logEveryMs = 60_000;

/** Creates the alarm of one listener: it counts problems in the metrics and logs a warning once a minute. */
export function createProxyAlarm({ log, metrics }: { log: Log; metrics: Metrics }): ProxyAlarm {
  const loggedAt = new Map<ProxyProblem, number>();
  return (problem, peer) => {
    metrics.proxyProblem(problem);
    if (performance.now() - (loggedAt.get(problem) ?? Number.NEGATIVE_INFINITY) < logEveryMs) return;
    loggedAt.set(problem, performance.now());
    log.warn({ peer, problem }, proxyProblemMessages[problem]);
  };
}
