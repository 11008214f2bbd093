import { AccessTokenError } from './access-token-error.ts';
import type { ReceivedRequest } from './received-request.ts';

/** An access token, and how the request presents it (RFC 6750 §2.1, RFC 9449 §7.1). */
export type PresentedToken = { scheme: 'Bearer' | 'DPoP'; token: string };

const schemes: ReadonlyMap<string, PresentedToken['scheme']> = new Map([
  ['bearer', 'Bearer'],
  ['dpop', 'DPoP'],
]);

/**
 * Reads `Authorization: Bearer …` or `Authorization: DPoP …`.
 * @throws {AccessTokenError} `missing_token` or `invalid_request`.
 */
export function readPresentedToken(request: ReceivedRequest): PresentedToken {
  const value = request.header('authorization');
  if (!value) throw new AccessTokenError('missing_token', 'An access token is required.');
  const end = value.indexOf(' ');
  const scheme = schemes.get(value.slice(0, end).toLowerCase());
  const token = value.slice(end).trimStart();
  if (!scheme || !/^[\w\-.~+/]+=*$/.test(token)) {
    throw new AccessTokenError('invalid_request', 'The Authorization header holds no access token.');
  }
  return { scheme, token };
}
