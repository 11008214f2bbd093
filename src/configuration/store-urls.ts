import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { UsageError } from '../errors.ts';

/** The parts of a store's URL. User and password are decoded, everything else is as written. */
type StoreUrl = {
  scheme: string;
  username: string;
  password: string;
  /** Hosts as `host:port`, as written in the URL, which can name several. */
  hosts: readonly string[];
  path: string;
  query: string;
};

const form = /^(?<scheme>[a-z+]+):\/\/(?:(?<user>[^/?]*)@)?(?<hosts>[^/?]*)(?<path>\/[^?]*)?(?:\?(?<query>.*))?$/is;
/** An IPv6 address in brackets, a name, an IPv4 address or a percent-encoded socket path, then an optional port. */
const hostForm = /^(\[[\da-f:.]+(%[\w.]+)?\]|[^\s:@#[\]]*)(:\d{1,5})?$/i;
const encoding =
  'in the user and password, percent-encode every reserved character: %25 for %, %2F for /, %3F for ?, %23 for #, %40 for @';

/**
 * Splits `scheme://[user[:password]@]host[:port][,host[:port]…][/path][?query]`.
 *
 * An unencoded reserved character in a password shifts the boundaries of all parts, so no message repeats any part of
 * the URL.
 * @param variable named in every message, such as `REDIS_URL`.
 * @throws {UsageError} that says which part is wrong and how to write it.
 */
function readStoreUrl(variable: string, url: string): StoreUrl {
  const groups = form.exec(url)?.groups;
  if (!groups)
    throw new UsageError(`${variable} is not a URL: it must have the form scheme://user:password@host:port/…`);
  const { scheme = '', user = '', path = '', query = '' } = groups;
  if (`${path}${query}`.includes('@')) {
    throw new UsageError(`${variable} has an @ after its host: ${encoding}`);
  }
  const hosts = (groups['hosts'] ?? '').split(',');
  for (const [index, host] of hosts.entries()) {
    const port = Number(/:(\d+)$/.exec(host)?.[1] ?? 0);
    if (hostForm.test(host) && port <= 65_535) continue;
    const which = hosts.length > 1 ? `host ${index + 1} of ${hosts.length}` : 'the host';
    throw new UsageError(`${variable}: ${which} is not host or host:port; ${encoding}`);
  }
  const colon = user.indexOf(':');
  return {
    scheme: scheme.toLowerCase(),
    username: decode(variable, colon === -1 ? user : user.slice(0, colon)),
    password: decode(variable, colon === -1 ? '' : user.slice(colon + 1)),
    hosts,
    path: path && `/${decode(variable, path.slice(1))}`,
    query,
  };
}

function decode(variable: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`${variable} has a % that does not begin a percent-encoded character: ${encoding}`);
  }
}

const certificateFiles = ['sslcert', 'sslkey', 'sslrootcert'] as const;

/**
 * Checks `DATABASE_URL` before node-postgres parses it, because the errors of node-postgres ("Invalid URL", "ENOENT")
 * do not name the variable.
 * @throws {UsageError} that names `DATABASE_URL` and contains no part of its value.
 */
export function checkPostgresUrl(url: string): void {
  const { scheme, query } = readStoreUrl('DATABASE_URL', url);
  if (!/^postgres(ql)?$/.test(scheme)) {
    throw new UsageError('DATABASE_URL must be a postgres:// URL with percent-encoded user and password');
  }
  // node-postgres reads any # as the beginning of a fragment.
  if (url.includes('#')) throw new UsageError('DATABASE_URL contains #; in the user or password, write it as %23');
  const given = new URLSearchParams(query);
  for (const name of certificateFiles) {
    const file = given.get(name);
    if (!file) continue;
    try {
      readFileSync(file);
    } catch (error) {
      throw new UsageError(`DATABASE_URL: ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
}

/** Address and credentials of Redis, as read from `REDIS_URL`. */
export type RedisAddress = {
  topology: 'standalone' | 'sentinel' | 'cluster';
  nodes: readonly { host: string; port: number }[];
  /** The name under which Sentinel knows the primary. */
  primaryName: string;
  db: number;
  username?: string;
  password?: string;
  sentinelUsername?: string;
  sentinelPassword?: string;
  /** Undefined without TLS. */
  tls: ConnectionOptions | undefined;
};

const schemes = /^redis(?<tls>s?)(?:\+(?<variant>sentinel|cluster))?$/;
const tlsFiles = ['ca', 'cert', 'key'] as const;
const parameters: readonly string[] = [...tlsFiles, 'sentinel_username', 'sentinel_password'];

/**
 * Parses
 * `redis[s][+sentinel|+cluster]://[user[:password]@]host[:port][,host[:port]…][/path][?ca=FILE&cert=FILE&key=FILE]`.
 * The path is the database number; with Sentinel, the name of the primary comes before it.
 * @throws {UsageError} that names `REDIS_URL` and contains no part of its value.
 */
export function readRedisUrl(url: string): RedisAddress {
  const { scheme, username, password, hosts, path, query } = readStoreUrl('REDIS_URL', url);
  const form = schemes.exec(scheme)?.groups;
  if (!form) {
    throw new UsageError(
      'REDIS_URL must be a redis:// URL: redis://, rediss://, redis+sentinel:// or redis+cluster://, with percent-encoded user and password',
    );
  }
  const topology = (form['variant'] ?? 'standalone') as RedisAddress['topology'];
  const names = hosts.filter(Boolean);
  if (names.length === 0) throw new UsageError('REDIS_URL names no host');
  if (topology === 'standalone' && names.length > 1) {
    throw new UsageError('REDIS_URL names several hosts: use redis+sentinel:// or redis+cluster://');
  }
  const given = new URLSearchParams(query);
  if ([...given.keys()].some((name) => !parameters.includes(name))) {
    throw new UsageError(
      `REDIS_URL has a parameter other than ${parameters.join(', ')}; in the user or password, write ? as %3F`,
    );
  }
  const segments = path.split('/').filter(Boolean);
  const primaryName = topology === 'sentinel' ? (segments.shift() ?? 'mymaster') : '';
  const db = segments.shift() ?? '0';
  if (!/^\d{1,9}$/.test(db) || segments.length > 0) {
    throw new UsageError(
      'REDIS_URL: the path must be a database number such as /0; in the user or password, write / as %2F',
    );
  }
  if (topology === 'cluster' && Number(db) !== 0) throw new UsageError('REDIS_URL: a cluster has only database 0');
  return {
    topology,
    nodes: names.map((name) => readHost(name, topology === 'sentinel' ? 26_379 : 6_379)),
    primaryName,
    db: Number(db),
    ...nonEmpty('username', username),
    ...nonEmpty('password', password),
    ...nonEmpty('sentinelUsername', given.get('sentinel_username')),
    ...nonEmpty('sentinelPassword', given.get('sentinel_password')),
    tls: form['tls'] ? readTls(given) : undefined,
  };
}

function readHost(text: string, defaultPort: number): { host: string; port: number } {
  const [, host = '', port] = /^(.*?)(?::(\d+))?$/.exec(text) ?? [];
  if (!host) throw new UsageError('REDIS_URL names a port without a host');
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port ?? defaultPort) };
}

function readTls(given: URLSearchParams): ConnectionOptions {
  const options: ConnectionOptions = {};
  for (const name of tlsFiles) {
    const file = given.get(name);
    if (!file) continue;
    try {
      options[name] = readFileSync(file);
    } catch (error) {
      throw new UsageError(`REDIS_URL: ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  return options;
}

function nonEmpty<K extends string>(name: K, value: string | null): { [key in K]?: string } {
  return value ? ({ [name]: value } as { [key in K]: string }) : {};
}
