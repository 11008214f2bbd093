import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Config } from '../config.ts';
import { configWarnings } from '../configuration/environment.ts';
import { readCertificates } from '../http/tls-files.ts';
import { askServer } from './ask-server.ts';

/** One result of `keyturn doctor`. */
export type Check = {
  name:
    | 'configuration'
    | 'dialects'
    | 'issuer'
    | 'certificate'
    | 'listeners'
    | 'proxies'
    | 'root key'
    | 'database'
    | 'schema'
    | 'clock'
    | 'secrets'
    | 'redis'
    | 'mail';
  status: 'ok' | 'warn' | 'fail';
  message: string;
  /** Describes how to fix the problem. */
  advice?: string;
};

/** Checks the settings without opening a store. */
export async function examineSettings(config: Config): Promise<Check[]> {
  return [
    ...examineConfiguration(config),
    ...examineDialects(config),
    examineIssuer(config),
    ...examineCertificate(config),
    examineListeners(config),
    ...(await examineProxies(config)),
  ];
}

function examineConfiguration(config: Config): Check[] {
  const warnings = configWarnings(config).map(
    (warning): Check => ({ name: 'configuration', status: 'warn', message: warning }),
  );
  if (warnings.length > 0) return warnings;
  return [ok('configuration', config.databaseUrl ? 'complete' : `complete; embedded, in ${config.dataDir}`)];
}

/** Names the dialects that are on, because some of them accept what the default rejects. */
function examineDialects({ dialects }: Config): Check[] {
  return dialects.size > 0 ? [ok('dialects', `on: ${[...dialects].join(', ')}; see docs/moving.md`)] : [];
}

function examineIssuer({ issuer, databaseUrl }: Config): Check {
  const { protocol, hostname } = new URL(issuer);
  const isLocal = hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname);
  if (protocol === 'https:') return ok('issuer', issuer);
  if (!isLocal) {
    const advice =
      'Set KEYTURN_ISSUER to the https URL that clients use. Terminate TLS at a proxy, or set KEYTURN_TLS_CERT.';
    return warn('issuer', `${issuer} is http: client secrets and tokens are sent over the network unencrypted`, advice);
  }
  if (!databaseUrl) return ok('issuer', `${issuer}: reachable from this machine only`);
  const advice = 'Set KEYTURN_ISSUER to the https URL that clients use, before the first token is issued.';
  return warn('issuer', `${issuer}: clients on other machines cannot reach it, and production needs https`, advice);
}

function examineCertificate({ tlsFiles, issuer }: Config): Check[] {
  const [certificate] = tlsFiles.cert ? readCertificates(readFileSync(tlsFiles.cert, 'utf8'), tlsFiles.cert) : [];
  if (!certificate) return [];
  const host = new URL(issuer).hostname.replace(/^\[|\]$/g, '');
  const isNamed = isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  const days = Math.floor((certificate.validToDate.getTime() - Date.now()) / 86_400_000);
  const until = `valid until ${certificate.validToDate.toISOString()}`;
  const renew = 'Renew the certificate. The server loads the new files within a second.';
  if (days < 0) return [fail('certificate', `${tlsFiles.cert} has expired`, renew)];
  if (days < 14) return [warn('certificate', `${tlsFiles.cert} is only ${until}`, renew)];
  if (!isNamed) {
    const advice = 'Ignore this if a proxy in front has a certificate for that host. Otherwise clients reject it.';
    return [warn('certificate', `${tlsFiles.cert} does not name ${host}, the host of KEYTURN_ISSUER`, advice)];
  }
  return [ok('certificate', `${tlsFiles.cert}, ${until}`)];
}

function examineListeners({ host, port, adminHost, adminPort }: Config): Check {
  const listening = `public ${host}:${port}, admin ${adminHost}:${adminPort}`;
  if (port === adminPort && port !== 0) {
    return fail('listeners', `${listening}: both use the same port`, 'Set KEYTURN_ADMIN_PORT to another port.');
  }
  if (/^127\.|^localhost$|^::1$/.test(adminHost)) return ok('listeners', listening);
  const advice = 'Ignore this in a container or a private network. Otherwise set KEYTURN_ADMIN_HOST to 127.0.0.1.';
  return warn('listeners', `${listening}: the admin listener can be reached over the network`, advice);
}

/** Checks that the configuration names the proxies in front. Reads which problems a running server has counted. */
async function examineProxies(config: Config): Promise<Check[]> {
  const warnings = [warnOfMissingProxy(config), ...(await warnOfTraffic(config))].filter(
    (check) => check !== undefined,
  );
  if (warnings.length > 0) return warnings;
  const { trustProxy, clientCertProxy } = config;
  const trusted = [...new Set([...trustProxy, ...clientCertProxy])].join(', ');
  return [ok('proxies', trusted ? `trusted: ${trusted}` : 'none trusted')];
}

/** Warns if TLS must end at an unnamed proxy, because the issuer is https and no certificate is configured. */
function warnOfMissingProxy({ issuer, tlsFiles, trustProxy }: Config): Check | undefined {
  if (!issuer.startsWith('https:') || tlsFiles.cert || trustProxy.length > 0) return undefined;
  return warn(
    'proxies',
    'KEYTURN_TRUST_PROXY does not name the proxy that terminates TLS, so every request seems to come from its address',
    'Set KEYTURN_TRUST_PROXY to the address from which the proxy connects.',
  );
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
  const checks: Check[] = [];
  if (seen('untrusted_address') > 0) {
    checks.push(
      warn(
        'proxies',
        'the running server ignored X-Forwarded-For or Forwarded from a peer that KEYTURN_TRUST_PROXY does not name',
        'If the peer in the log is your proxy, add its address to KEYTURN_TRUST_PROXY.',
      ),
    );
  }
  if (seen('unreadable_address') > 0) {
    checks.push(
      warn(
        'proxies',
        'a trusted proxy sent a forwarded address that is not an IP address to the running server',
        'Configure the proxy to set X-Forwarded-For to the IP address of its client.',
      ),
    );
  }
  return checks;
}

export function ok(name: Check['name'], message: string): Check {
  return { name, status: 'ok', message };
}

export function warn(name: Check['name'], message: string, advice: string): Check {
  return { name, status: 'warn', message, advice };
}

export function fail(name: Check['name'], message: string, advice?: string): Check {
  return { name, status: 'fail', message, ...(advice ? { advice } : {}) };
}
