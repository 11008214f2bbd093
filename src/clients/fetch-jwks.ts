import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { request } from 'node:https';
import { BlockList, isIP, isIPv4, isIPv6, type LookupFunction } from 'node:net';
import { LRUCache } from 'lru-cache';
import type { Registration } from '../credentials/registration.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import { type ClientJwks, type ClientKey, usableKeys, type VerificationAlgorithm } from './verification-key.ts';

export type FetchJwks = (uri: string) => Promise<readonly unknown[]>;

const maxBytes = 64 * 1024;
const timeoutMs = 3_000;

export type FetchOptions = {
  /** Looks up a host name as Node's `dns.lookup` with `all: true` does. */
  resolve?: (hostname: string, callback: (error: Error | null, addresses: LookupAddress[]) => void) => void;
  isAllowed?: (address: string) => boolean;
  /** Trusted CAs in PEM, or undefined for those that Node.js trusts. */
  ca?: string;
};

/**
 * Fetches the `keys` of a JWK Set (RFC 7517 §5). The URL was registered by a third party and must not reach this
 * server's network: it must be https, the connected address itself must be public, redirects and proxies are not used,
 * and time and size are limited.
 */
export async function fetchJwks(uri: string, options: FetchOptions = {}): Promise<readonly unknown[]> {
  const { isAllowed = isPublicAddress, ca } = options;
  const { protocol, hostname } = new URL(uri);
  if (protocol !== 'https:') throw new Error('not https');
  // Check IP addresses here, because they are not looked up.
  const literal = hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) && !isAllowed(literal)) throw new Error('not a public address');
  const document = JSON.parse(await read(uri, ca, lookupAllowed(options, isAllowed))) as { keys?: unknown } | null;
  if (!Array.isArray(document?.keys)) throw new Error('not a JWK Set');
  return document.keys;
}

/**
 * Checks the very addresses that are connected to, so that a second look-up cannot return another one. Rejects a name
 * if any of its addresses is not allowed.
 */
function lookupAllowed({ resolve }: FetchOptions, isAllowed: (address: string) => boolean): LookupFunction {
  const lookUp = resolve ?? ((hostname, callback) => dnsLookup(hostname, { all: true }, callback));
  return (hostname, { all }, callback) => {
    lookUp(hostname, (error, addresses) => {
      const [first] = addresses ?? [];
      const refusal = error ?? (first && addresses.every(({ address }) => isAllowed(address)) ? null : refused());
      if (refusal || !first) callback(refusal ?? refused(), '', 0);
      else if (all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function refused(): Error {
  return new Error('not a public address');
}

function read(uri: string, ca: string | undefined, lookup: LookupFunction): Promise<string> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(timeoutMs);
    const headers = { Accept: 'application/jwk-set+json, application/json', 'Accept-Encoding': 'identity' };
    const outgoing = request(uri, { agent: false, lookup, signal, headers, ...(ca === undefined ? {} : { ca }) });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      if (response.statusCode !== 200) {
        outgoing.destroy(new Error(`status ${response.statusCode}`));
        return;
      }
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > maxBytes) outgoing.destroy(new Error('too large'));
        else chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('close', () => reject(new Error('cut off')));
      // A TextDecoder drops a byte order mark, which JSON.parse would reject (RFC 8259 §8.1).
      response.once('end', () => resolve(new TextDecoder().decode(Buffer.concat(chunks))));
    });
    outgoing.end();
  });
}

/** Addresses that are not publicly reachable or have a special purpose (IANA registries, RFC 6890). */
const special = new BlockList();
for (const subnet of [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
]) {
  const [address = '', prefix] = subnet.split('/');
  special.addSubnet(address, Number(prefix), 'ipv4');
}
// Parts of 2000::/3 that embed an IPv4 address (Teredo, 6to4) could lead back into a private network.
special.addSubnet('2001::', 23, 'ipv6');
special.addSubnet('2001:db8::', 32, 'ipv6');
special.addSubnet('2002::', 16, 'ipv6');
special.addSubnet('3fff::', 20, 'ipv6');

const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');

/** Returns whether an address belongs to the public Internet, which is all that a registered URL may refer to. */
export function isPublicAddress(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, 'ipv4');
  return isIPv6(address) && globalUnicast.check(address, 'ipv6') && !special.check(address, 'ipv6');
}

export type ClientKeys = {
  /**
   * Returns the keys of a registration, registered or published at its URL; empty if the URL cannot be read.
   * @param wanted.accepted the algorithms of the keys that are used.
   * @param wanted.kid the ID of the key to find. The URL is fetched again if the ID is unknown.
   * @param wanted.client the id of the client, for which it is recorded what the URL publishes.
   */
  find(
    registration: Pick<Registration, 'jwks' | 'jwksUri'>,
    wanted: {
      accepted: readonly VerificationAlgorithm[];
      kid?: string | undefined;
      client?: string | undefined;
    },
  ): Promise<readonly ClientKey[]>;
};

type Fetched = {
  keys: readonly ClientKey[];
  readAt: number;
  triedAt: number;
  running: Promise<void> | undefined;
  /** Clients for which it is recorded what was read last. */
  noted: Set<string>;
};

const maxUrls = 1_000;
/**
 * Maximum age of fetched keys before the next fetch. A new key is found at once; a removed key is accepted until then.
 */
const freshForMs = 5 * 60_000;
/** Maximum age of fetched keys that are still used if the URL cannot be fetched again. */
const usableForMs = 60 * 60_000;
/** Minimum time between fetches, so that unknown `kid` values cannot cause many requests to a `jwks_uri`. */
const retryAfterMs = 60_000;

/** Records which keys a client's URL publishes. */
type NotePublished = (client: string, jwksUri: string, keys: readonly ClientKey[], at: Date) => Promise<void>;

export function createClientKeys(deps: {
  fetchJwks: FetchJwks;
  clock: Clock;
  log: Log;
  notePublished: NotePublished;
}): ClientKeys {
  const { fetchJwks, clock, log, notePublished } = deps;
  const byUrl = new LRUCache<string, Fetched>({ max: maxUrls });

  /**
   * Caches imported keys by registration object, which is replaced with its client. So are the accepted algorithms, which
   * depend on the client and the deployment alone.
   */
  const imported = new WeakMap<ClientJwks, readonly ClientKey[]>();

  function importOnce(jwks: ClientJwks, accepted: readonly VerificationAlgorithm[]): readonly ClientKey[] {
    let keys = imported.get(jwks);
    if (!keys) {
      keys = usableKeys(jwks.keys, accepted);
      imported.set(jwks, keys);
    }
    return keys;
  }

  async function read(uri: string, fetched: Fetched, accepted: readonly VerificationAlgorithm[]): Promise<void> {
    fetched.triedAt = clock();
    try {
      fetched.keys = usableKeys(await fetchJwks(uri), accepted);
      fetched.readAt = clock();
      fetched.noted = new Set();
    } catch (error) {
      log.warn({ jwks_uri: uri, error: (error as Error).message }, 'failed to fetch the keys of a client');
    } finally {
      fetched.running = undefined;
    }
  }

  /**
   * Starts recording what was read, once for each client. No request waits for it. If that fails, the keys are recorded
   * after the next fetch, so that requests cannot cause many failing statements.
   */
  function note(client: string, jwksUri: string, { keys, readAt, noted }: Fetched): void {
    if (noted.has(client) || !Number.isFinite(readAt)) return;
    noted.add(client);
    notePublished(client, jwksUri, keys, new Date(readAt)).catch((error: Error) => {
      log.warn({ jwks_uri: jwksUri, error: error.message }, 'the published keys of a client cannot be recorded');
    });
  }

  function isWanting({ keys, readAt }: Fetched, kid: string | undefined): boolean {
    return clock() - readAt > freshForMs || (kid !== undefined && !keys.some((key) => key.kid === kid));
  }

  return {
    find: async ({ jwks, jwksUri }, { accepted, kid, client }) => {
      if (jwks) return importOnce(jwks, accepted);
      if (jwksUri === null) return [];
      // Clients with other algorithms use other keys of the same URL.
      const name = `${accepted.length} ${jwksUri}`;
      const fetched = byUrl.get(name) ?? unread();
      byUrl.set(name, fetched);
      if (isWanting(fetched, kid) && clock() - fetched.triedAt > retryAfterMs)
        fetched.running ??= read(jwksUri, fetched, accepted);
      await fetched.running;
      if (client !== undefined) note(client, jwksUri, fetched);
      return clock() - fetched.readAt > usableForMs ? [] : fetched.keys;
    },
  };
}

function unread(): Fetched {
  const never = Number.NEGATIVE_INFINITY;
  return { keys: [], readAt: never, triedAt: never, running: undefined, noted: new Set() };
}
