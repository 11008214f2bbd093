import type { Config } from '../config.ts';
import { askServer } from './ask-server.ts';
import type { Check } from './doctor-check.ts';

const name = 'proxies';

/** Checks that the configuration names the proxies in front. Reads which problems a running server has counted. */
export async function examineProxies(config: Config): Promise<Check[]> {
  const warnings = [warnOfMissingProxy(config), ...(await warnOfTraffic(config))].filter(
    (check) => check !== undefined,
  );
  if (warnings.length > 0) return warnings;
  const { trustProxy, clientCertProxy } = config;
  const trusted = [...new Set([...trustProxy, ...clientCertProxy])].join(', ');
  return [{ name, status: 'ok', message: trusted ? `trusted: ${trusted}` : 'none trusted' }];
}

/** Warns if TLS must end at an unnamed proxy, because the issuer is https and no certificate is configured. */
function warnOfMissingProxy({ issuer, tlsFiles, trustProxy }: Config): Check | undefined {
  if (!issuer.startsWith('https:') || tlsFiles.cert || trustProxy.length > 0) return undefined;
  return {
    name,
    status: 'warn',
    message:
      'KEYTURN_TRUST_PROXY does not name the proxy that terminates TLS, so every request seems to come from its address',
    advice: 'Set KEYTURN_TRUST_PROXY to the address from which the proxy connects.',
  };
}

/**
 * Warns about proxy problems that the running server has counted. Returns nothing if no server runs on this machine.
 */
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
        'the running server ignored X-Forwarded-For or Forwarded from a peer that KEYTURN_TRUST_PROXY does not name',
        'If the peer in the log is your proxy, add its address to KEYTURN_TRUST_PROXY.',
      ),
    );
  }
  if (seen('unreadable_address') > 0) {
    checks.push(
      warning(
        'a trusted proxy sent a forwarded address that is not an IP address to the running server',
        'Configure the proxy to set X-Forwarded-For to the IP address of its client.',
      ),
    );
  }
  return checks;
}
