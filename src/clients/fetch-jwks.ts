import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { request } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './public-address.ts';

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
