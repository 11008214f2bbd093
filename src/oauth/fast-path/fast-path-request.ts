import type { IncomingMessage } from 'node:http';
import { countHeaders } from '../../http/count-headers.ts';

const maxBytes = 16 * 1024;
const maxHeaders = 50;
const formTypes = new Set([
  'application/x-www-form-urlencoded',
  'application/x-www-form-urlencoded;charset=UTF-8',
  'application/x-www-form-urlencoded; charset=UTF-8',
  'application/x-www-form-urlencoded;charset=utf-8',
  'application/x-www-form-urlencoded; charset=utf-8',
]);

/**
 * Returns whether the headers of a POST are plain: HTTP/1.1, one known Host, a form with a stated length within bounds,
 * and no header that asks for another kind of answer. Anything unknown is not plain.
 */
export function isPlainForm(request: IncomingMessage, isKnownHost: (host: string) => boolean): boolean {
  const { headers, rawHeaders } = request;
  const length = Number(headers['content-length']);
  return (
    request.method === 'POST' &&
    request.httpVersion === '1.1' &&
    rawHeaders.length <= maxHeaders * 2 &&
    length > 0 &&
    length <= maxBytes &&
    formTypes.has(headers['content-type'] ?? '') &&
    headers['transfer-encoding'] === undefined &&
    headers['content-encoding'] === undefined &&
    headers.expect === undefined &&
    headers.upgrade === undefined &&
    headers.origin === undefined &&
    // Leave requests for a DPoP-bound token (RFC 9449) to the application.
    headers['dpop'] === undefined &&
    // Leave requests for a signed answer (RFC 9701) to the application.
    !/jwt/i.test(headers.accept ?? '') &&
    isKnownHost(headers.host ?? '') &&
    headers['te'] === undefined &&
    countHeaders(rawHeaders, 'host') === 1 &&
    countHeaders(rawHeaders, 'content-type') === 1
  );
}
