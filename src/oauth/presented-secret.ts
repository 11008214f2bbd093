import type { IncomingMessage } from 'node:http';
import { KeyturnError } from '../errors.ts';
import { countHeaders } from '../http/normalize-request.ts';
import type { Pair, PresentedPair } from './fast-path/head-start.ts';
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
  const named = values.get('client_id');
  const readings = readBasic(request.headers.authorization ?? '');
  const [presented, asWritten] = readings.filter(({ clientId }) => named === undefined || named === clientId);
  if (!presented) {
    throw new KeyturnError('invalid_request', 400, 'client_id: must be the ID of the authenticated client.');
  }
  return asWritten ? { ...presented, asWritten } : presented;
}

/** Returns whether exactly one Authorization header is the only client authentication of a request. */
export function usesHeaderAlone(request: IncomingMessage, { values }: Form): boolean {
  const headers = countHeaders(request.rawHeaders, 'authorization');
  return headers === 1 && waysOf(headers, values) === 1;
}

/** Returns whether a request has no client authentication, and names no client. */
export function isUnauthenticated(request: IncomingMessage, values: Form['values']): boolean {
  return waysOf(countHeaders(request.rawHeaders, 'authorization'), values) === 0 && !values.has('client_id');
}

/** Returns the number of ways in which a request authenticates its client. */
function waysOf(headers: number, values: Form['values']): number {
  return headers + (values.has('client_secret') ? 1 : 0) + (values.has('client_assertion') ? 1 : 0);
}

/**
 * Reads HTTP Basic credentials. Their parts are form-encoded once (RFC 6749 §2.3.1 and Appendix B), but some libraries
 * do not encode them.
 * @returns the decoded parts, if they can be decoded, and the parts as they are written, if they differ.
 */
function readBasic(header: string): Pair[] {
  if (header.slice(0, 6).toLowerCase() !== 'basic ') throw new InvalidClient('not HTTP Basic');
  let start = 6;
  while (header[start] === ' ') start += 1;
  const encoded = header.slice(start);
  const bytes = Buffer.from(encoded, 'base64');
  // Encode again to detect characters that the decoder skipped. Only padding may be missing.
  const again = bytes.toString('base64');
  if (encoded !== again && encoded !== again.replace(/=+$/, '')) throw new InvalidClient('not base64');
  const text = bytes.toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) throw new InvalidClient('an empty id or secret');
  const written = { clientId: text.slice(0, colon), clientSecret: text.slice(colon + 1) };
  if (!/[%+]/.test(text)) return [written];
  const clientId = formDecode(written.clientId);
  const clientSecret = formDecode(written.clientSecret);
  return clientId === undefined || clientSecret === undefined ? [written] : [{ clientId, clientSecret }, written];
}

/** Returns undefined if a value is not form-encoded. */
function formDecode(value: string): string | undefined {
  try {
    return decodeURIComponent(value.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}
