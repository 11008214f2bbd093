import { errors, jwtVerify } from 'jose';
import { signJwt } from './sign-jwt.ts';
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
 * The record that a JWT access token of ours stands for; undefined for any other value. Whether it has ended or was revoked is for
 * the caller to see, as with an opaque one.
 */
export async function readJwtAccessToken(
  keys: SigningKeys,
  issuer: string,
  token: string,
): Promise<TokenRecord | undefined> {
  const published = await keys.all();
  try {
    const { payload } = await jwtVerify<AccessTokenClaims>(
      token,
      ({ kid, alg }) => {
        const key = published.find((candidate) => candidate.kid === kid && candidate.alg === alg);
        if (!key) throw new errors.JWKSNoMatchingKey();
        return key.publicKey;
      },
      // `exp` is compared by our own clock, so it must not be refused by another one here.
      { issuer, typ: 'at+jwt', currentDate: new Date(0) },
    );
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

/** Whether it is worth a signature check: compact JWS form, and no longer than any token of ours. */
export function isJwtShaped(token: string): boolean {
  return token.length <= 8_192 && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
}
