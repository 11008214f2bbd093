import { errors, jwtVerify } from 'jose';
import type { Clock } from '../process/clock.ts';
import { signJwt } from './sign-jwt.ts';
import { signingKeyLeewaySeconds } from './signing-key-store.ts';
import type { SigningKey, SigningKeys } from './signing-keys.ts';
import { type Confirmation, decodeAccessKeyRef, type TokenRecord } from './token-store.ts';

/** What a JWT access token says beyond what RFC 9068 §2.2 names. */
type AccessTokenClaims = {
  iss: string;
  sub: string;
  client_id: string;
  aud: string;
  iat: number;
  exp: number;
  jti: string;
  scope: string;
  access_key_id?: string | undefined;
  contact_id?: string | undefined;
  /** The client's epoch and the secret's generation, so that "revoke all" and undo reach JWTs too. */
  epoch: number;
  generation: number;
  /** Likewise of the access key: `id.epoch.generation`. */
  access_key?: string | undefined;
  /** RFC 7800 §3.1. */
  cnf?: Confirmation | undefined;
};

/** RFC 9068. */
export function signAccessToken(key: SigningKey, claims: AccessTokenClaims): string {
  return signJwt(key, 'at+jwt', claims);
}

/**
 * Returns the record that a JWT access token stands for, or undefined if this deployment cannot have signed it. As with
 * an opaque token, the caller checks whether it has expired or was revoked.
 */
export async function readJwtAccessToken(
  { signingKeys, issuer, clock }: { signingKeys: SigningKeys; issuer: string; clock: Clock },
  token: string,
): Promise<TokenRecord | undefined> {
  const published = await signingKeys.all();
  let signedBy: SigningKey | undefined;
  try {
    const { payload } = await jwtVerify<AccessTokenClaims>(
      token,
      ({ kid, alg }) => {
        signedBy = published.find((candidate) => candidate.kid === kid && candidate.alg === alg);
        if (!signedBy) throw new errors.JWKSNoMatchingKey();
        return signedBy.publicKey;
      },
      // The caller compares `exp` with another clock, so jose must not.
      { issuer, typ: 'at+jwt', currentDate: new Date(0), requiredClaims: ['iat', 'exp'] },
    );
    if (!signedBy || !isIssuedHere(payload, signedBy, clock() / 1_000)) return undefined;
    return {
      jti: payload.jti,
      clientId: payload.client_id,
      epoch: payload.epoch,
      generation: payload.generation,
      issuedAt: payload.iat * 1_000,
      expiresAt: payload.exp,
      scope: payload.scope,
      resource: payload.aud,
      accessKey: payload.access_key === undefined ? undefined : decodeAccessKeyRef(payload.access_key),
      confirmation: payload.cnf,
    };
  } catch {
    return undefined;
  }
}

/**
 * Returns whether the dates of a signed token are ones that this deployment gives. Others were made with a stolen key:
 * a longer lifetime than the key's tokens have, or an `iat` after the key's retirement or in the future.
 */
function isIssuedHere({ iat, exp }: AccessTokenClaims, key: SigningKey, now: number): boolean {
  const { tokenSeconds, retiredAt } = key;
  const signsUntil = retiredAt === null ? Number.POSITIVE_INFINITY : retiredAt.getTime() / 1_000;
  return (
    exp - iat <= (tokenSeconds ?? Number.POSITIVE_INFINITY) &&
    iat <= Math.min(signsUntil, now) + signingKeyLeewaySeconds
  );
}

/** Returns whether a value is worth a signature check: a compact JWS that is not longer than any access token. */
export function isJwtShaped(token: string): boolean {
  return token.length <= 8_192 && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}
