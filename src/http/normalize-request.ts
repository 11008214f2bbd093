import type { IncomingMessage } from 'node:http';
import { KeyturnError } from '../errors.ts';

const maxHeaders = 100;

/** The used members of Koa's context. */
type KoaContext = {
  req: IncomingMessage;
  url: string;
  originalUrl: string;
  set(name: string, value: string): void;
};

/**
 * Applies `normalizeRequest` in both listeners, before any other part of a request is read. Closes the connection of a
 * rejected request, because the bytes after it may not start a new request.
 */
export function normalize(ctx: KoaContext, next: () => Promise<void>): Promise<void> {
  try {
    normalizeRequest(ctx.req);
  } catch (error) {
    ctx.set('Connection', 'close');
    throw error;
  }
  ctx.originalUrl = ctx.url;
  return next();
}

/**
 * Rejects requests that a proxy in front could interpret differently. Replaces an absolute-form target with its path,
 * and Host with its authority (RFC 9112 §3.2.2).
 * @throws {KeyturnError} 400 or 431. The connection must be closed after the response.
 */
function normalizeRequest(request: IncomingMessage): void {
  const { rawHeaders, headers, httpVersion } = request;
  if (rawHeaders.length > maxHeaders * 2) {
    throw new KeyturnError('invalid_request', 431, `A request must not have more than ${maxHeaders} headers.`);
  }
  const hosts = countHeaders(rawHeaders, 'host');
  // HTTP/1.0 requests may omit Host (RFC 9112 §3.2).
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1'))
    throw invalid('The request must have exactly one Host header.');
  if (countHeaders(rawHeaders, 'content-type') > 1)
    throw invalid('The request must not have more than one Content-Type header.');
  const encoding = headers['transfer-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    throw invalid('Transfer-Encoding must be chunked.');
  }
  // RFC 9110 §10.1.4 forbids listing chunked, because every recipient accepts it.
  if (/\bchunked\b/i.test(String(headers['te'] ?? ''))) throw invalid('TE must not list chunked.');
  if (!request.url?.startsWith('/')) readAbsoluteForm(request);
}

function readAbsoluteForm(request: IncomingMessage): void {
  const target = request.url ?? '';
  const [, authority, path = ''] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(target) ?? [];
  if (authority === undefined) return;
  request.headers.host = authority;
  request.url = path.startsWith('/') ? path : `/${path}`;
}

function invalid(message: string): KeyturnError {
  return new KeyturnError('invalid_request', 400, message);
}

/** Counts how often a header was sent, before Node merges repetitions in `headers`. @param name in lower case. */
export function countHeaders(rawHeaders: readonly string[], name: string): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const header = rawHeaders[index] as string;
    if (header.length === name.length && header.toLowerCase() === name) count += 1;
  }
  return count;
}

/**
 * Returns a function that checks whether a Host header is one of these hosts. A name without a port matches any port.
 */
export function createHostCheck(names: readonly string[]): (host: string) => boolean {
  const hosts = new Set(names.map((name) => name.toLowerCase()));
  let lastKnown: string | undefined;
  return (host) => {
    if (host === lastKnown) return true;
    const name = host.toLowerCase();
    const isKnown = hosts.has(name) || hosts.has(withoutPort(name));
    if (isKnown) lastKnown = host;
    return isKnown;
  };
}

/** Removes a valid port. Keeps an invalid one, so that such a host is never used in a URL. */
function withoutPort(host: string): string {
  const [ending, port] = /:(\d{1,5})$/.exec(host) ?? [];
  return ending !== undefined && Number(port) <= 65_535 ? host.slice(0, -ending.length) : host;
}
