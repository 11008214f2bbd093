import type { Config } from '../config.ts';
import { askServer } from './ask-server.ts';
import type { Check } from './doctor-checks.ts';

const name = 'proxies';

/** Checks whether the proxies in front are the ones that the configuration names. Asks a running server what it has seen. */
export async function examineProxies(config: Config): Promise<Check[]> {
  const warnings = [warnOfMissingProxy(config), ...(await warnOfTraffic(config))].filter(
    (check) => check !== undefined,
  );
  if (warnings.length > 0) return warnings;
  const { trustProxy, clientCertProxy } = config;
  const trusted = [...new Set([...trustProxy, ...clientCertProxy])].join(', ');
  return [{ name, status: 'ok', message: trusted ? `trusted: ${trusted}` : 'none trusted' }];
}

/** With an https issuer and no certificate, TLS must end at a proxy. */
function warnOfMissingProxy({ issuer, tlsFiles, trustProxy }: Config): Check | undefined {
  if (!issuer.startsWith('https:') || tlsFiles.cert || trustProxy.length > 0) return undefined;
  return {
    name,
    status: 'warn',
    message: 'TLS ends at a proxy that KEYTURN_TRUST_PROXY does not name: all callers behind it have its address',
    advice: 'Set KEYTURN_TRUST_PROXY to the address that the proxy calls from.',
  };
}

/** A server that does not run, or not here, has seen nothing. */
async function warnOfTraffic(config: Config): Promise<Check[]> {
  const { adminHost: host, adminPort: port } = config;
  const answer = await askServer(config, { host, port, path: '/metrics' }).catch(() => undefined);
  const seen = (problem: string) =>
    Number(
      new RegExp(`^keyturn_proxy_headers_ignored_total\\{problem="${problem}"\\} (\\d+)`, 'm').exec(
        answer?.body ?? '',
      )?.[1],
    );
  const warning = (message: string, advice: string): Check => ({ name, status: 'warn', message, advice });
  const checks: Check[] = [];
  if (seen('untrusted_address') > 0) {
    checks.push(
      warning(
        'the running server ignored X-Forwarded-For or Forwarded of a peer that KEYTURN_TRUST_PROXY does not name',
        'If the peer in its log is your proxy, add its address to KEYTURN_TRUST_PROXY.',
      ),
    );
  }
  if (seen('unreadable_address') > 0) {
    checks.push(
      warning(
        'a trusted proxy sent the running server a forwarded address that cannot be read',
        'Let the proxy set X-Forwarded-For to the IP address of its caller.',
      ),
    );
  }
  return checks;
}
