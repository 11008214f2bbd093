import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { type AuditStreamTarget, readAuditStreams } from './configuration/audit-streams.ts';
import { type Dialect, type Dialects, dialectProblems } from './configuration/dialects.ts';
import { emptyVariables, readSecretFile, unknownVariables, withoutPlatformLinks } from './configuration/environment.ts';
import { isHostName, isIssuer, localUrl } from './configuration/issuer.ts';
import { type MailSettings, readMailSettings } from './configuration/mail-settings.ts';
import { readSignInSettings, type SignInSettings } from './configuration/sign-in-settings.ts';
import { checkPostgresUrl, readRedisUrl } from './configuration/store-urls.ts';
import { type Variable, variables } from './configuration/variables.ts';
import { UsageError } from './errors.ts';
import { type IdentitySettings, readIdentitySettings } from './http/identity-settings.ts';
import { problemsOfTls, type TlsFiles } from './http/tls-files.ts';
import { problemsOfProxySettings } from './http/trusted-proxies.ts';
import type { LogLevel } from './observability/log.ts';

/** JWS algorithms for access tokens (RFC 7518 §3.1, RFC 8037). */
export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'PS256' | 'RS256';

export type Config = SignInSettings &
  IdentitySettings & {
    /** Issuer identifier, without a trailing slash (RFC 8414 §2). */
    issuer: string;
    databaseUrl: string | undefined;
    redisUrl: string | undefined;
    /** Versions and keys as written, such as `v2:base64,v1:base64`. Undefined: the embedded store generates one. */
    rootKey: string | undefined;
    dataDir: string;
    host: string;
    port: number;
    adminHost: string;
    adminPort: number;
    /** Origin of the console in mails. */
    consoleUrl: string;
    portalHost: string;
    /** Undefined if this process does not serve the portal. */
    portalPort: number | undefined;
    /** Origin of the portal's addresses; undefined if there is no portal. */
    portalUrl: string | undefined;
    workers: number;
    accessTokenTtlSeconds: number;
    /** How many seconds a person stays signed in at most, and without a request. */
    sessions: { lifetimeSeconds: number; idleSeconds: number };
    /** Longest life in days of operator tokens with a name; 0: no limit. */
    operatorTokenDays: number;
    /** Seconds for which a process may use cached data while PostgreSQL is unavailable. */
    staleSeconds: number;
    reveal: boolean;
    /** Algorithm of new signing keys (RFC 7518 §3.1, RFC 8037). */
    signingAlgorithm: SigningAlgorithm;
    /** Days after which a signing key is rotated automatically; 0 disables rotation. */
    signingKeyDays: number;
    /** Failed client authentications per minute of one address, or of one /64 network for IPv6; 0 means no limit. */
    failuresPerMinute: number;
    /** Tokens issued per minute to one client; 0 means no limit. */
    tokensPerMinute: number;
    /** Revocations accepted per minute from one client; 0 means no limit. */
    revocationsPerMinute: number;
    /** Whether simple requests are answered without the protocol library. */
    fastPath: boolean;
    /** Whether every request is logged. */
    accessLog: boolean;
    allowedHosts: readonly string[];
    /** CIDRs of private networks that webhooks of the deployment may reach. */
    webhookNetworks: readonly string[];
    /** CIDRs of the proxies whose X-Forwarded-For or Forwarded header is trusted. */
    trustProxy: readonly string[];
    /** Header, in lower case, in which proxies forward their clients' certificates. */
    clientCertHeader: string | undefined;
    /**
     * Addresses or small ranges of the proxies that may send that header. Any other host in a range could pose as any
     * client.
     */
    clientCertProxy: readonly string[];
    /** Paths of the TLS files. With a certificate, both listeners use TLS. */
    tlsFiles: TlsFiles;
    /** Deviations of other servers' clients that are accepted. */
    dialects: Dialects;
    /** Receivers of the audit log. */
    auditStreams: readonly AuditStreamTarget[];
    logLevel: LogLevel;
    /** Undefined if no mails are sent. */
    mail: MailSettings | undefined;
    /** Whether requests are traced. OpenTelemetry's own variables set the destination. */
    traces: boolean;
    /** Variables that were set. All others have their default. */
    given: readonly Variable[];
  };

const remoteVariables = ['KEYTURN_URL', 'KEYTURN_OPERATOR_TOKEN', 'KEYTURN_PROFILE'] as const;

/** Returns the variables of commands that call a running server; undefined if they are not set or empty. */
export function commandVariables() {
  const names = [...remoteVariables, 'XDG_CONFIG_HOME', 'KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'] as const;
  type Values = { [name in (typeof names)[number]]: string | undefined };
  return Object.fromEntries(names.map((name) => [name, process.env[name]?.trim() || undefined])) as Values;
}

/** Returns a problem for each variable that names a running server or its operator and is set but empty. */
export function emptyCommandVariables(): string[] {
  return emptyVariables(process.env, remoteVariables);
}

/** Returns a variable that files of a configuration name; undefined if it is not set or empty. */
export function readVariable(name: string): string | undefined {
  return process.env[name]?.trim() || undefined;
}

export const signingAlgorithms: readonly SigningAlgorithm[] = ['ES256', 'EdDSA', 'PS256', 'RS256'];
const logLevels: readonly LogLevel[] = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'];

/**
 * Reads the whole configuration from the environment.
 * @throws {UsageError} that names every wrong value at once, with a suggestion for a misspelt variable.
 */
export function readConfig(given: Readonly<Record<string, string | undefined>> = process.env): Config {
  const environment = withoutPlatformLinks(given);
  const problems = [
    ...unknownVariables(environment, variables, remoteVariables),
    ...emptyVariables(environment, [...variables, ...remoteVariables]),
  ];
  const text = (name: string) => environment[name]?.trim() || undefined;
  const secret = (name: string) => {
    const file = text(`${name}_FILE`);
    return file ? readSecretFile(`${name}_FILE`, file, problems) : text(name);
  };
  const check = (name: string, valid: boolean, expected: string) => {
    if (!valid) problems.push(`${name} must be ${expected}`);
  };
  const oneOf = <T extends string>(name: string, fallback: T, values: readonly T[]): T => {
    const value = text(name) ?? fallback;
    check(name, (values as readonly string[]).includes(value), `one of ${values.join(', ')}`);
    return value as T;
  };
  const onOrOff = (name: string, fallback = 'on') => oneOf(name, fallback, ['on', 'off']) === 'on';
  const integer = (name: string, fallback: number, minimum: number, maximum: number) => {
    const written = text(name);
    const value = written === undefined ? fallback : /^\d+$/.test(written) ? Number(written) : Number.NaN;
    check(name, value >= minimum && value <= maximum, `a whole number from ${minimum} to ${maximum}`);
    return value;
  };
  const list = (name: string) => {
    const items = (text(name) ?? '').split(',').map((item) => item.trim());
    check(name, text(name) === undefined || items.every(Boolean), 'a list without empty items');
    return items.filter(Boolean);
  };
  const listenOn = (name: string, fallback: string) => {
    const host = (text(name) ?? fallback).replace(/^\[(.*)\]$/, '$1');
    check(name, isIP(host) > 0 || isHostName(host), 'an IP address or a host name; 0.0.0.0 or :: means every address');
    return host;
  };
  const storeUrl = (name: string, read: (url: string) => unknown) => {
    const url = secret(name);
    const problem = url && problemOf(() => read(url));
    if (problem) problems.push(problem);
    return url;
  };

  const tlsFiles = {
    cert: text('KEYTURN_TLS_CERT'),
    key: text('KEYTURN_TLS_KEY'),
    clientCa: text('KEYTURN_TLS_CLIENT_CA'),
  };
  problems.push(...problemsOfTls(tlsFiles));
  const clientCertHeader = text('KEYTURN_CLIENT_CERT_HEADER')?.toLowerCase();
  const clientCertProxy = list('KEYTURN_CLIENT_CERT_PROXY');
  const trustProxy = list('KEYTURN_TRUST_PROXY');
  const webhookNetworks = list('KEYTURN_WEBHOOK_NETWORKS');
  problems.push(...problemsOfProxySettings({ trustProxy, webhookNetworks, clientCertHeader, clientCertProxy }));
  if (tlsFiles.clientCa && !tlsFiles.cert && !clientCertHeader) {
    problems.push('KEYTURN_TLS_CLIENT_CA needs KEYTURN_TLS_CERT or KEYTURN_CLIENT_CERT_HEADER');
  }
  const dialects = list('KEYTURN_DIALECTS');
  problems.push(...dialectProblems(dialects));
  const port = integer('KEYTURN_PORT', 4000, 0, 65_535);
  const origin = (name: string, fallback: string) => {
    const url = text(name)?.replace(/\/$/, '') ?? fallback;
    check(name, isIssuer(url), 'an http or https URL without path, query and fragment');
    check(name, !tlsFiles.cert || !url.startsWith('http:'), 'an https URL if KEYTURN_TLS_CERT is set');
    return url;
  };
  const scheme = tlsFiles.cert ? 'https' : 'http';
  const issuer = origin('KEYTURN_ISSUER', localUrl(scheme, port, 4000));
  const adminPort = integer('KEYTURN_ADMIN_PORT', 4001, 0, 65_535);
  const portalPort = text('KEYTURN_PORTAL_PORT') ? integer('KEYTURN_PORTAL_PORT', 4002, 0, 65_535) : undefined;
  const hasPortal = portalPort !== undefined || text('KEYTURN_PORTAL_URL') !== undefined;
  const databaseUrl = storeUrl('DATABASE_URL', checkPostgresUrl);
  const redisUrl = storeUrl('REDIS_URL', readRedisUrl);
  const rootKey = secret('KEYTURN_ROOT_KEY');
  if (databaseUrl && !rootKey) {
    problems.push('KEYTURN_ROOT_KEY is required with DATABASE_URL; `keyturn root-key generate` generates one');
  }
  const workersAuto = text('KEYTURN_WORKERS') === 'auto';
  const workers = workersAuto ? availableParallelism() : integer('KEYTURN_WORKERS', 1, 1, 1024);
  if (workers > 1 && !(databaseUrl && redisUrl)) {
    problems.push('KEYTURN_WORKERS above 1 needs DATABASE_URL and REDIS_URL');
  }

  const signIn = readSignInSettings({ text, secret, list, check });
  const config: Config = {
    issuer,
    databaseUrl,
    redisUrl,
    rootKey,
    dataDir: resolve(text('KEYTURN_DATA_DIR') ?? './data'),
    host: listenOn('KEYTURN_HOST', '0.0.0.0'),
    port,
    adminHost: listenOn('KEYTURN_ADMIN_HOST', '127.0.0.1'),
    adminPort,
    consoleUrl: signIn.adminUrl ?? localUrl(scheme, adminPort, 4001),
    portalHost: listenOn('KEYTURN_PORTAL_HOST', '0.0.0.0'),
    portalPort,
    portalUrl: hasPortal ? origin('KEYTURN_PORTAL_URL', localUrl(scheme, portalPort ?? 0, 4002)) : undefined,
    workers,
    accessTokenTtlSeconds: integer('KEYTURN_ACCESS_TOKEN_TTL', 3600, 1, 86_400),
    sessions: {
      lifetimeSeconds: integer('KEYTURN_SESSION_TTL', 28_800, 300, 2_592_000),
      idleSeconds: integer('KEYTURN_SESSION_IDLE', 7_200, 300, 43_200),
    },
    operatorTokenDays: integer('KEYTURN_OPERATOR_TOKEN_DAYS', 365, 0, 3_650),
    staleSeconds: integer('KEYTURN_STALE_SECONDS', 60, 0, 86_400),
    reveal: onOrOff('KEYTURN_REVEAL'),
    signingAlgorithm: oneOf('KEYTURN_SIGNING_ALG', 'ES256', signingAlgorithms),
    signingKeyDays: integer('KEYTURN_SIGNING_KEY_DAYS', 90, 0, 3_650),
    failuresPerMinute: integer('KEYTURN_FAILURES_PER_MINUTE', 100, 0, 1_000_000),
    tokensPerMinute: integer('KEYTURN_TOKENS_PER_MINUTE', 0, 0, 10_000_000),
    revocationsPerMinute: integer('KEYTURN_REVOCATIONS_PER_MINUTE', 6_000, 0, 10_000_000),
    fastPath: onOrOff('KEYTURN_FAST_PATH'),
    accessLog: onOrOff('KEYTURN_ACCESS_LOG'),
    allowedHosts: list('KEYTURN_ALLOWED_HOSTS').map((host) => host.toLowerCase()),
    webhookNetworks,
    trustProxy,
    clientCertHeader,
    clientCertProxy,
    tlsFiles,
    dialects: new Set(dialects as Dialect[]),
    mail: readMailSettings(text, secret, problems),
    auditStreams: readAuditStreams(secret, problems),
    logLevel: oneOf('KEYTURN_LOG_LEVEL', 'info', logLevels),
    ...signIn,
    ...readIdentitySettings({ text, list, check, onOrOff }),
    traces:
      text('OTEL_SDK_DISABLED') !== 'true' &&
      (text('OTEL_EXPORTER_OTLP_ENDPOINT') ?? text('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT')) !== undefined,
    given: variables.filter((name) => text(name) !== undefined),
  };
  if (problems.length > 0) {
    throw new UsageError(`The configuration is invalid:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
  }
  return config;
}

function problemOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}
