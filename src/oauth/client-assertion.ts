import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify, type ProtectedHeaderParameters } from 'jose';
import type { Client } from '../clients/client.ts';
import type { VerificationKey } from '../clients/verification-key.ts';
import type { Core } from '../core.ts';
import { decoyKeys } from './decoy-keys.ts';
import { InvalidClient } from './oauth-error.ts';

/** The only reason for which a rejected assertion is not checked again with a re-read client. */
export const reusedAssertion = 'assertion_reused';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const maxLength = 8 * 1024;
/**
 * Seconds that a client's clock may be ahead of the server's (FAPI 2.0 §5.3.2.1). Applies to `exp`, `iat` and `nbf`.
 */
const leewaySeconds = 10;
const maxLifetimeSeconds = 300;

export type PresentedAssertion = { clientId: string; assertion: string; header: ProtectedHeaderParameters };

/**
 * Reads which client an assertion claims to be from. Nothing in it is verified yet.
 * @param type the parameter `client_assertion_type`.
 * @param named the optional parameter `client_id` (RFC 7521 §4.2).
 * @throws {InvalidClient}
 */
export function readAssertion(
  assertion: string,
  { type, named }: { type: string | undefined; named: string | undefined },
): PresentedAssertion {
  if (type !== assertionType) throw new InvalidClient('not a JWT assertion');
  if (assertion.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(assertion)) {
    throw new InvalidClient('not a signed JWT in compact form');
  }
  const { header, payload } = decode(assertion);
  const clientId = payload.sub;
  if (typeof clientId !== 'string' || clientId !== payload.iss)
    throw new InvalidClient('iss and sub are not one client');
  if (named !== undefined && named !== clientId) throw new InvalidClient('client_id is another one');
  return { clientId, assertion, header };
}

/**
 * Checks that an assertion is signed with a key of the client, names this issuer, is current, and was never used before
 * (RFC 7523 §3, FAPI 2.0 §5.3.2.1). Keys come only from the registration; key references in the assertion are ignored.
 * @param client undefined if no client may use an assertion here. The signature is checked even then, so that the
 * response time does not reveal which clients exist.
 * @returns the reason for the rejection, or undefined if the assertion is valid.
 * @throws {StoreUnavailable} if it cannot be determined whether the assertion was used before.
 */
export async function refusalOfAssertion(
  core: Core,
  client: Client | undefined,
  { clientId, assertion, header }: PresentedAssertion,
): Promise<string | undefined> {
  if (header.crit !== undefined || 'b64' in header) return 'assertion_header';
  // Reject access tokens and every other JWT whose type is not that of a client assertion (RFC 8725 §3.11).
  if (header.typ !== undefined && !/^(application\/)?(client-authentication\+)?jwt$/i.test(header.typ))
    return 'assertion_type';
  const kid = typeof header.kid === 'string' ? header.kid : undefined;
  const registered = client ? await core.clientKeys.find(client, kid) : [];
  const keys = registered.filter(
    ({ algs, ...key }) => algs.some((alg) => alg === header.alg) && (!kid || !key.kid || key.kid === kid),
  );
  const claims = await verify(assertion, keys.length > 0 ? keys : decoyKeys(header.alg));
  if (!client || !claims) return 'assertion_signature';
  const refusal = refusalOfClaims(claims, core.config.issuer, core.clock() / 1_000);
  if (refusal) return refusal;
  const { jti = '', exp = 0 } = claims;
  const isFirst = await core.usedAssertions.useOnce({
    client: client.id,
    kind: 'assertion',
    jti: `${clientId} ${jti}`,
    expiresAt: exp * 1_000,
  });
  return isFirst ? undefined : reusedAssertion;
}

/**
 * Returns the claims of a correctly signed assertion. Skips its dates, which the caller compares with the server's
 * clock.
 */
async function verify(assertion: string, keys: readonly VerificationKey[]): Promise<JWTPayload | undefined> {
  for (const { key, algs } of keys) {
    try {
      const { payload } = await jwtVerify(assertion, key, {
        algorithms: [...algs],
        currentDate: new Date(0),
        clockTolerance: 1e12,
      });
      return payload;
    } catch {
      // Try the next key.
    }
  }
  return undefined;
}

function refusalOfClaims({ aud, exp, iat, nbf, jti }: JWTPayload, issuer: string, now: number): string | undefined {
  // Require the issuer as the only audience, as a string: with another audience, the assertion could be used there too
  // (FAPI 2.0 §5.3.2.1).
  if (aud !== issuer) return 'assertion_audience';
  if (typeof exp !== 'number' || exp <= now || exp > now + maxLifetimeSeconds + leewaySeconds)
    return 'assertion_expiry';
  for (const since of [iat, nbf]) {
    if (since !== undefined && !(typeof since === 'number' && since <= now + leewaySeconds)) return 'assertion_date';
  }
  return typeof jti === 'string' && jti.length > 0 ? undefined : 'assertion_id';
}

function decode(assertion: string): { header: ProtectedHeaderParameters; payload: JWTPayload } {
  try {
    return { header: decodeProtectedHeader(assertion), payload: decodeJwt(assertion) };
  } catch {
    throw new InvalidClient('not a JWT');
  }
}
