import type { IncomingMessage } from 'node:http';
import { KeyturnError } from '../errors.ts';
import { countHeaders } from '../http/normalize-request.ts';
import type { PresentedPair } from './fast-path/head-start.ts';
import type { Form } from './form.ts';
import { InvalidClient } from './oauth-error.ts';

/** Reads the Client ID and secret of a request. The fast path and the application call the same functions. */

/**
 * Returns the Client ID and secret of a request.
 * @throws {KeyturnError} `invalid_request` if the client uses more than one way of authentication (RFC 6749 §2.3).
 */
export function readCredentials(request: IncomingMessage, { values }: Form): PresentedPair {
  const headers = countHeaders(request.rawHeaders, 'authorization');
  if (waysOf(headers, values) > 1) {
    throw new KeyturnError('invalid_request', 400, 'The request must use exactly one client authentication method.');
  }
  if (headers === 0) {
    const clientId = values.get('client_id');
    const clientSecret = values.get('client_secret');
    if (!clientId || !clientSecret) throw new InvalidClient('no client authentication');
    return { clientId, clientSecret };
  }
  const presented = readBasic(request.headers.authorization ?? '');
  const named = values.get('client_id');
  if (named !== undefined && named !== presented.clientId) {
    throw new KeyturnError('invalid_request', 400, 'client_id: must be the ID of the authenticated client.');
  }
  return presented;
}

/** Returns whether exactly one Authorization header is the only client authentication of a request. */
export function usesHeaderAlone(request: IncomingMessage, { values }: Form): boolean {
  const headers = countHeaders(request.rawHeaders, 'authorization');
  return headers === 1 && waysOf(headers, values) === 1;
}

/** Returns the number of ways in which a request authenticates its client. */
function waysOf(headers: number, values: Form['values']): number {
  return headers + (values.has('client_secret') ? 1 : 0) + (values.has('client_assertion') ? 1 : 0);
}

/** Reads HTTP Basic credentials, whose parts are form-encoded once (RFC 6749 §2.3.1 and Appendix B). */
function readBasic(header: string): PresentedPair {
  if (header.slice(0, 6).toLowerCase() !== 'basic ') throw new InvalidClient('not HTTP Basic');
  let start = 6;
  while (header[start] === ' ') start += 1;
  const encoded = header.slice(start);
  const bytes = Buffer.from(encoded, 'base64');
  // Encode again to detect characters that the decoder skipped. Only padding may be missing.
  const written = bytes.toString('base64');
  if (encoded !== written && encoded !== written.replace(/=+$/, '')) throw new InvalidClient('not base64');
  const text = bytes.toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) throw new InvalidClient('an empty id or secret');
  return { clientId: formDecode(text.slice(0, colon)), clientSecret: formDecode(text.slice(colon + 1)) };
}

function formDecode(value: string): string {
  if (!value.includes('%') && !value.includes('+')) return value;
  try {
    return decodeURIComponent(value.replaceAll('+', ' '));
  } catch {
    throw new InvalidClient('not form-encoded');
  }
}
