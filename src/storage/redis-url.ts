import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import { UsageError } from '../errors.ts';

/** Where Redis is and how it is entered, as `REDIS_URL` says it. */
export type RedisAddress = {
  topology: 'standalone' | 'sentinel' | 'cluster';
  nodes: readonly { host: string; port: number }[];
  /** The name that Sentinel knows the primary by. */
  primaryName: string;
  db: number;
  username?: string;
  password?: string;
  sentinelUsername?: string;
  sentinelPassword?: string;
  /** Undefined: without TLS. */
  tls: ConnectionOptions | undefined;
};

const form =
  /^redis(?<tls>s?)(?:\+(?<variant>sentinel|cluster))?:\/\/(?:(?<user>[^/?]*)@)?(?<hosts>[^/?]+)(?<path>\/[^?]*)?(?:\?(?<query>.*))?$/s;
const files = ['ca', 'cert', 'key'] as const;
const parameters: readonly string[] = [...files, 'sentinel_username', 'sentinel_password'];

/**
 * Reads `redis[s][+sentinel|+cluster]://[user[:password]@]host[:port][,host[:port]…][/path][?ca=FILE&cert=FILE&key=FILE]`. The path is the
 * database's number, and with Sentinel the primary's name before it.
 * @throws {UsageError}
 */
export function readRedisUrl(url: string): RedisAddress {
  const { tls, variant, user = '', hosts = '', path = '', query } = form.exec(url)?.groups ?? {};
  const topology = (variant ?? 'standalone') as RedisAddress['topology'];
  const names = hosts.split(',').filter(Boolean);
  if (names.length === 0) throw new UsageError('REDIS_URL names no host.');
  if (topology === 'standalone' && names.length > 1) {
    throw new UsageError('REDIS_URL names several hosts: write redis+sentinel:// or redis+cluster://');
  }
  const given = new URLSearchParams(query);
  for (const name of given.keys()) {
    if (!parameters.includes(name)) throw new UsageError(`REDIS_URL: ${name} is none of ${parameters.join(', ')}`);
  }
  const segments = path.split('/').filter(Boolean);
  const primaryName = topology === 'sentinel' ? (segments.shift() ?? 'mymaster') : '';
  const db = Number(segments.shift() ?? 0);
  if (!Number.isInteger(db) || segments.length > 0)
    throw new UsageError('REDIS_URL: the path is not a database number');
  if (topology === 'cluster' && db !== 0) throw new UsageError('REDIS_URL: a cluster has database 0 alone');
  const colon = user.indexOf(':');
  return {
    topology,
    nodes: names.map((name) => readHost(name, topology === 'sentinel' ? 26_379 : 6_379)),
    primaryName,
    db,
    ...nonEmpty('username', decodeURIComponent(colon === -1 ? user : user.slice(0, colon))),
    ...nonEmpty('password', decodeURIComponent(colon === -1 ? '' : user.slice(colon + 1))),
    ...nonEmpty('sentinelUsername', given.get('sentinel_username')),
    ...nonEmpty('sentinelPassword', given.get('sentinel_password')),
    tls: tls ? readTls(given) : undefined,
  };
}

function readHost(text: string, defaultPort: number): { host: string; port: number } {
  if (!URL.canParse(`http://${text}`)) throw new UsageError(`REDIS_URL: ${text} is not a host`);
  const { hostname, port } = new URL(`http://${text}`);
  // `URL` drops 80 as the default of http.
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (/:80$/.test(text) ? 80 : defaultPort)) };
}

function readTls(given: URLSearchParams): ConnectionOptions {
  const options: ConnectionOptions = {};
  for (const name of files) {
    const file = given.get(name);
    if (!file) continue;
    try {
      options[name] = readFileSync(file);
    } catch (error) {
      throw new UsageError(`REDIS_URL: ${name} cannot be read: ${(error as Error).message}`);
    }
  }
  return options;
}

function nonEmpty<K extends string>(name: K, value: string | null): { [key in K]?: string } {
  return value ? ({ [name]: value } as { [key in K]: string }) : {};
}
