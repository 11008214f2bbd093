import { decodeJwt, decodeProtectedHeader } from 'jose';
import { type TokenTyp, tokenTyps } from '../clients/client.ts';
import { isSignedWith } from '../credentials/jws-signature.ts';
import type { Clock } from '../process/clock.ts';
import { signingKeyLeewaySeconds } from './signing-key-store.ts';
import { type SigningKey, signJwt } from './signing-keys.ts';
import { type Confirmation, decodeAccessKeyRef, type TokenRecord } from './token-record.ts';

/** The claim whose content only Keyturn reads. Its name is collision-resistant (RFC 7519 §4.2). */
export const privateClaims = 'https://keyturn.dev/claims';

/** The state that the token was issued in, so that "revoke all" and undo apply to JWTs too. */
type PrivateClaims = {
  /** The client's epoch. */
  epoch: number;
  /** The generation of the client's secret. */
  generation: number;
  /** The access key with its epoch and generation: `id.epoch.generation`. */
  access_key?: string | undefined;
};

/** The claims of a JWT access token: those of RFC 9068 §2.2, and Keyturn's own. */
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
  organization_id?: string | undefined;
  /** Absent in tokens of the previous version. */
  [privateClaims]?: PrivateClaims | undefined;
  /** The key or certificate that the token is bound to (RFC 7800 §3.1). */
  cnf?: Confirmation | undefined;
};

/** Signs an access token in the JWT profile of RFC 9068. */
export function signAccessToken(
  key: SigningKey,
  typ: TokenTyp,
  claims: AccessTokenClaims & Partial<PrivateClaims>,
): string {
  return signJwt(key, typ, claims);
}

/**
 * Claims that every access token has. With `typ: JWT` they distinguish it from other JWTs: a signed introspection answer
 * has its own `typ` and none of `exp`, `client_id`, `jti` and `scope`.
 */
const requiredTexts = ['aud', 'client_id', 'jti', 'scope'] as const;
const requiredNumbers = ['iat', 'exp'] as const;

/**
 * Returns the record that a JWT access token contains, or undefined if this deployment cannot have signed the token.
 * The caller checks whether it has expired or was revoked, as for an opaque token. Accepts each `typ`, because earlier
 * tokens stay valid when a resource server changes its `token_typ`.
 */
export function readJwtAccessToken(
  { issuer, clock }: { issuer: string; clock: Clock },
  published: readonly SigningKey[],
  token: string,
): TokenRecord | undefined {
  const read = decode(token);
  if (!read) return undefined;
  const { header, claims } = read;
  if (!tokenTyps.some((known) => known === header.typ) || header.crit !== undefined || 'b64' in header)
    return undefined;
  const key = published.find(({ kid, alg }) => kid === header.kid && alg === header.alg);
  if (!key || !isSignedWith(key.alg, key.publicKey, token)) return undefined;
  const isAccessToken =
    claims.iss === issuer &&
    requiredTexts.every((name) => typeof claims[name] === 'string') &&
    requiredNumbers.every((name) => typeof claims[name] === 'number');
  if (!isAccessToken || !isIssuedHere(claims, key, clock() / 1_000)) return undefined;
  // Tokens of the previous version have these claims at the top.
  const { epoch, generation, access_key: accessKey } = (claims[privateClaims] ?? claims) as PrivateClaims;
  return {
    jti: claims.jti,
    clientId: claims.client_id,
    epoch,
    generation,
    issuedAt: claims.iat * 1_000,
    expiresAt: claims.exp,
    scope: claims.scope,
    scopeVersions: undefined,
    resource: claims.aud,
    accessKey: accessKey === undefined ? undefined : decodeAccessKeyRef(accessKey),
    confirmation: claims.cnf,
  };
}

function decode(token: string) {
  try {
    return {
      header: decodeProtectedHeader(token),
      claims: decodeJwt<AccessTokenClaims & Partial<PrivateClaims>>(token),
    };
  } catch {
    return undefined;
  }
}

/**
 * Returns whether this deployment can have issued a signed token with these dates. Otherwise it was made with a stolen
 * key: its lifetime is longer than that of the key's tokens, or its `iat` is after the key's retirement or in the
 * future.
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
