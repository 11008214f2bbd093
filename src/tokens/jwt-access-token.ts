import { constants, sign } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import type { SigningAlgorithm } from '../config.ts';
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

/** Signs an access token as a JWT (RFC 9068), inline: a signature of ES256 costs less than handing it to another thread. */
export function signAccessToken(key: SigningKey, claims: AccessTokenClaims): string {
  const header = encode({ alg: key.alg, typ: 'at+jwt', kid: key.kid });
  const input = `${header}.${encode(claims)}`;
  return `${input}.${signInput(key, input).toString('base64url')}`;
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

function signInput({ alg, privateKey }: SigningKey, input: string): Buffer {
  const data = Buffer.from(input);
  const algorithms: Record<SigningAlgorithm, () => Buffer> = {
    ES256: () => sign('sha256', data, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
    EdDSA: () => sign(null, data, privateKey),
    RS256: () => sign('sha256', data, privateKey),
    PS256: () => sign('sha256', data, { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
  };
  return algorithms[alg]();
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
