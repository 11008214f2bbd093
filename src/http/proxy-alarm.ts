import type { Log } from '../observability/log.ts';
import type { Metrics } from '../observability/metrics.ts';

/** Problem with a header that only a proxy should send. */
export type ProxyProblem = keyof typeof messages;

/** Reports a problem. @param peer address of the connection's other end. */
export type ProxyAlarm = (problem: ProxyProblem, peer: string) => void;

/** Minimum time between two log lines about the same problem, because every request can have it. */
const logEveryMs = 60_000;

const messages = {
  untrusted_address:
    'ignored X-Forwarded-For or Forwarded of a peer that is not in KEYTURN_TRUST_PROXY; if it is your proxy, add its address',
  unreadable_address:
    'a trusted proxy sent a forwarded address that cannot be read, so its caller is not counted in any limit or as a source of usage',
  untrusted_certificate:
    'ignored a client certificate in a header of a peer that is not in KEYTURN_CLIENT_CERT_PROXY; if it is your proxy, add its address',
  unreadable_certificate:
    'a proxy sent a client certificate that cannot be read, in the header KEYTURN_CLIENT_CERT_HEADER',
} as const;

/** All problems, so that metrics report a zero for each before it first occurs. */
export const proxyProblems = Object.keys(messages) as ProxyProblem[];

/** Creates the alarm of one listener: it counts problems in the metrics and logs a warning once a minute. */
export function createProxyAlarm({ log, metrics }: { log: Log; metrics: Metrics }): ProxyAlarm {
  const loggedAt = new Map<ProxyProblem, number>();
  return (problem, peer) => {
    metrics.proxyProblem(problem);
    if (performance.now() - (loggedAt.get(problem) ?? Number.NEGATIVE_INFINITY) < logEveryMs) return;
    loggedAt.set(problem, performance.now());
    log.warn({ peer, problem }, messages[problem]);
  };
}
