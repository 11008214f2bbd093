import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './public-address.ts';

const maxBytes = 64 * 1024;
const timeoutMs = 3_000;

export type OutsideOptions = {
  /** Looks up a host name as Node's `dns.lookup` with `all: true` does. */
  resolve?: (hostname: string, callback: (error: Error | null, addresses: LookupAddress[]) => void) => void;
  /** Returns whether an address may be connected to. By default, only public ones may. */
  isAllowed?: (address: string) => boolean;
  /** Trusted CAs in PEM, or undefined for those that Node.js trusts. */
  ca?: string;
  /** Whether http URLs are accepted too, which the address check must then limit. */
  allowPlain?: boolean;
  maxBytes?: number;
  timeoutMs?: number;
  /** Whether the body of the answer is read. Otherwise `text` is empty, and a large body is no error. */
  readsBody?: boolean;
  /** Ends the request. */
  signal?: AbortSignal;
};

export type OutsideRequest = { method?: string; headers?: Readonly<Record<string, string>>; body?: string | undefined };

export type OutsideAnswer = { status: number; headers: Readonly<Record<string, string>>; text: string };

/**
 * Sends a request to a URL that was registered by a third party and must not reach this server's network: it must be
 * https, the connected address itself must be allowed, redirects and proxies are not used, and time and size are limited.
 * @throws {Error} if the request is not allowed, fails, takes longer than the limit, or has a larger answer.
 */
export async function fetchOutside(
  url: string,
  request: OutsideRequest,
  options: OutsideOptions = {},
): Promise<OutsideAnswer> {
  const { isAllowed = isPublicAddress, allowPlain = false } = options;
  const { protocol, hostname } = new URL(url);
  if (protocol !== 'https:' && !(allowPlain && protocol === 'http:')) throw new Error('not https');
  // Check IP addresses here, because they are not looked up.
  const literal = hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) && !isAllowed(literal)) throw new Error('not a public address');
  return await send(url, request, options, lookupAllowed(options, isAllowed));
}

/**
 * Checks the very addresses that are connected to, so that a second look-up cannot return another one. Rejects a name
 * if any of its addresses is not allowed.
 */
function lookupAllowed({ resolve }: OutsideOptions, isAllowed: (address: string) => boolean): LookupFunction {
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

function send(
  url: string,
  { method = 'GET', headers, body }: OutsideRequest,
  { ca, maxBytes: limit = maxBytes, timeoutMs: time = timeoutMs, readsBody = true, signal }: OutsideOptions,
  lookup: LookupFunction,
): Promise<OutsideAnswer> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith('https:') ? requestTls : requestPlain;
    const outgoing = request(url, {
      agent: false,
      lookup,
      method,
      signal: AbortSignal.any([AbortSignal.timeout(time), ...(signal ? [signal] : [])]),
      headers: { ...headers, 'Accept-Encoding': 'identity' },
      ...(ca === undefined ? {} : { ca }),
    });
    outgoing.once('error', reject);
    outgoing.once('response', (response) => {
      if (!readsBody) resolve(answerOf(response, ''));
      const chunks: Buffer[] = [];
      let length = 0;
      response.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (length > limit) outgoing.destroy(new Error('too large'));
        else if (readsBody) chunks.push(chunk);
      });
      response.once('error', reject);
      response.once('close', () => reject(new Error('cut off')));
      response.once('end', () => {
        // A TextDecoder drops a byte order mark, which JSON.parse would reject (RFC 8259 §8.1).
        resolve(answerOf(response, new TextDecoder().decode(Buffer.concat(chunks))));
      });
    });
    outgoing.end(body);
  });
}

function answerOf({ statusCode: status = 0, headers }: IncomingMessage, text: string): OutsideAnswer {
  const flat = Object.entries(headers).map(([name, value]) => [name, String(value)]);
  return { status, headers: Object.fromEntries(flat), text };
}
