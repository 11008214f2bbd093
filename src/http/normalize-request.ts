import type { IncomingMessage } from 'node:http';
import { KeyturnError } from '../errors.ts';
import { countHeaders } from './count-headers.ts';

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
