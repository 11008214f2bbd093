import { UsageError } from '../errors.ts';

/** The parts of a store's URL. User and password are decoded, everything else is as written. */
export type StoreUrl = {
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
  'in user and password, percent-encode every reserved character: %25 for %, %2F for /, %3F for ?, %23 for #, %40 for @';

/**
 * Splits `scheme://[user[:password]@]host[:port][,host[:port]…][/path][?query]`.
 *
 * An unencoded reserved character in a password shifts the boundaries of all parts, so no message repeats any part of
 * the URL.
 * @param variable named in every message, such as `REDIS_URL`.
 * @throws {UsageError} that says which part is wrong and how to write it.
 */
export function readStoreUrl(variable: string, url: string): StoreUrl {
  const groups = form.exec(url)?.groups;
  if (!groups) throw new UsageError(`${variable} is not a URL: write scheme://user:password@host:port/…`);
  const { scheme = '', user = '', path = '', query = '' } = groups;
  if (`${path}${query}`.includes('@')) {
    throw new UsageError(`${variable} has an @ behind its host: ${encoding}`);
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
