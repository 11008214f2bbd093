import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { UsageError } from '../errors.ts';
import { readStoreUrl } from './store-url.ts';

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
const files = ['ca', 'cert', 'key'] as const;
const parameters: readonly string[] = [...files, 'sentinel_username', 'sentinel_password'];

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
      'REDIS_URL must be a redis:// URL: redis://, rediss://, redis+sentinel:// or redis+cluster://, with user and password percent-encoded',
    );
  }
  const topology = (form['variant'] ?? 'standalone') as RedisAddress['topology'];
  const names = hosts.filter(Boolean);
  if (names.length === 0) throw new UsageError('REDIS_URL names no host');
  if (topology === 'standalone' && names.length > 1) {
    throw new UsageError('REDIS_URL names several hosts: write redis+sentinel:// or redis+cluster://');
  }
  const given = new URLSearchParams(query);
  if ([...given.keys()].some((name) => !parameters.includes(name))) {
    throw new UsageError(
      `REDIS_URL has a parameter other than ${parameters.join(', ')}; a ? in user or password is written %3F`,
    );
  }
  const segments = path.split('/').filter(Boolean);
  const primaryName = topology === 'sentinel' ? (segments.shift() ?? 'mymaster') : '';
  const db = segments.shift() ?? '0';
  if (!/^\d{1,9}$/.test(db) || segments.length > 0) {
    throw new UsageError(
      'REDIS_URL: the path must be a database number such as /0; a / in user or password is written %2F',
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
  for (const name of files) {
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
