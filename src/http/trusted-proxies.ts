import { isIP } from 'node:net';
import type { Log } from '../observability/log.ts';

/** Why a header that only a proxy should send was ignored, with the text of the log. */
export const proxyProblemMessages = {
  untrusted_address:
    'ignored X-Forwarded-For or Forwarded from a peer that is not in KEYTURN_TRUST_PROXY; if it is your proxy, add its address',
  unreadable_address:
    'ignored an unreadable forwarded address from a trusted proxy; limits and usage do not count this client',
  untrusted_certificate:
    'ignored a client certificate in a header from a peer that is not in KEYTURN_CLIENT_CERT_PROXY; if it is your proxy, add its address',
  unreadable_certificate:
    'ignored an unreadable client certificate from a proxy, in the header KEYTURN_CLIENT_CERT_HEADER',
} as const;

export type ProxyProblem = keyof typeof proxyProblemMessages;

/**
 * Size of the smallest subnet that an AWS Application Load Balancer accepts, so that a dedicated subnet can be named.
 */
const maxCertificateProxies = 32;

/** Returns the problems of the settings that name networks. */
export function problemsOfProxySettings({
  trustProxy,
  webhookNetworks,
  clientCertHeader,
  clientCertProxy,
}: {
  trustProxy: readonly string[];
  webhookNetworks: readonly string[];
  clientCertHeader: string | undefined;
  clientCertProxy: readonly string[];
}): string[] {
  const problems: string[] = [];
  if (!trustProxy.every((range) => sizeOf(range) !== undefined)) {
    problems.push('KEYTURN_TRUST_PROXY must be a list of addresses or CIDRs such as 10.0.0.5,fd00:5::/64');
  }
  if (!webhookNetworks.every(isAddressRange)) {
    problems.push('KEYTURN_WEBHOOK_NETWORKS must be a list of addresses or CIDRs such as 10.0.0.5,fd00:5::/64');
  }
  if (!/^[\w-]+$/.test(clientCertHeader ?? 'none')) {
    problems.push('KEYTURN_CLIENT_CERT_HEADER must be the name of a header');
  }
  if (clientCertProxy.some((range) => !((sizeOf(range) ?? Number.POSITIVE_INFINITY) <= maxCertificateProxies))) {
    problems.push(
      `KEYTURN_CLIENT_CERT_PROXY must be a list of addresses such as 10.0.0.5, or of CIDRs of at most ${maxCertificateProxies} addresses, because every host in it can impersonate any client whose certificate it has`,
    );
  }
  if (clientCertHeader && clientCertProxy.length === 0) {
    problems.push(
      'KEYTURN_CLIENT_CERT_HEADER needs KEYTURN_CLIENT_CERT_PROXY, the addresses of the proxies that send it',
    );
  }
  if (!clientCertHeader && clientCertProxy.length > 0) {
    problems.push('KEYTURN_CLIENT_CERT_PROXY needs KEYTURN_CLIENT_CERT_HEADER, the header that these proxies send');
  }
  return problems;
}

/** Returns whether a text is an IP address or a CIDR. */
export function isAddressRange(text: string): boolean {
  return sizeOf(text) !== undefined;
}

/** Returns the number of addresses in an address or CIDR, or undefined if the text is neither. */
function sizeOf(range: string): number | undefined {
  const [address = '', prefix, ...rest] = range.split('/');
  const family = isIP(address);
  if (!family || rest.length > 0) return undefined;
  const bits = family === 4 ? 32 : 128;
  if (prefix === undefined) return 1;
  return /^\d+$/.test(prefix) && Number(prefix) <= bits ? 2 ** (bits - Number(prefix)) : undefined;
}

/** Reports a problem. @param peer address of the connection's other end. */
export type ProxyAlarm = (problem: ProxyProblem, peer: string) => void;

/** Minimum time between two log lines about the same problem, because every request can have it. */
const logEveryMs = 60_000;

/** Creates the alarm of one listener: it counts problems in the metrics and logs a warning once a minute. */
export function createProxyAlarm({
  log,
  metrics,
}: {
  log: Log;
  metrics: { proxyProblem(problem: ProxyProblem): void };
}): ProxyAlarm {
  const loggedAt = new Map<ProxyProblem, number>();
  return (problem, peer) => {
    metrics.proxyProblem(problem);
    if (performance.now() - (loggedAt.get(problem) ?? Number.NEGATIVE_INFINITY) < logEveryMs) return;
    loggedAt.set(problem, performance.now());
    log.warn({ peer, problem }, proxyProblemMessages[problem]);
  };
}
