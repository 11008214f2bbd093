import { type JWTPayload, jwtVerify } from 'jose';
import { KeyturnError } from '../errors.ts';
import type { IdentityProvider } from './identity-provider.ts';
import type { ProviderConnections } from './provider-connections.ts';

/** Whose sessions a provider ends. At least one is set. */
export type LoggedOut = { subject: string | undefined; sid: string | undefined };

const event = 'http://schemas.openid.net/event/backchannel-logout';
const algorithms = [
  'RS256',
  'PS256',
  'ES256',
  'EdDSA',
  'Ed25519',
  'RS384',
  'RS512',
  'PS384',
  'PS512',
  'ES384',
  'ES512',
];

/**
 * Verifies a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6).
 * @throws {KeyturnError} 400 if it is not valid.
 */
export async function readLogoutToken(
  connections: ProviderConnections,
  provider: IdentityProvider,
  token: string,
): Promise<LoggedOut> {
  const { issuer, keys } = await connections.verification(provider);
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer,
    audience: provider.clientId,
    algorithms,
    maxTokenAge: '5 minutes',
    clockTolerance: 60,
    requiredClaims: ['jti', 'events'],
  }).catch((error: Error) => {
    throw invalid(error.message);
  });
  const type = protectedHeader.typ?.toLowerCase().replace(/^application\//, '');
  if (type !== undefined && type !== 'jwt' && type !== 'logout+jwt') throw invalid('wrong typ');
  if (!hasEvent(payload)) throw invalid('no logout event');
  // An ID token has a nonce, and must not be used to log out.
  if ('nonce' in payload) throw invalid('nonce');
  const { sub, sid } = payload;
  if (sub === undefined && typeof sid !== 'string') throw invalid('neither sub nor sid');
  return { subject: sub, sid: typeof sid === 'string' ? sid : undefined };
}

function hasEvent({ events }: JWTPayload): boolean {
  const isObject = typeof events === 'object' && events !== null && Object.hasOwn(events, event);
  const member = isObject ? (events as Record<string, unknown>)[event] : undefined;
  return typeof member === 'object' && member !== null;
}

function invalid(detail: string): KeyturnError {
  return new KeyturnError('invalid_request', 400, 'The logout token is not valid.', { detail });
}
