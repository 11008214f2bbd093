import {
  type CryptoKey,
  createRemoteJWKSet,
  customFetch,
  decodeProtectedHeader,
  errors,
  type JWTVerifyGetKey,
  jwtVerify,
} from 'jose';
import { type AccessToken, toAccessToken } from './access-token.ts';
import { ageOf, currentMoment, type Moment } from './token-cache.ts';

export type JwtReaderOptions = {
  issuer: string;
  resource: string;
  algorithms: readonly string[];
  acceptTypJwt: boolean;
  fetch: typeof globalThis.fetch;
  timeoutMs: number;
};

/** Reads JWT access tokens (RFC 9068 §4) with the server's published keys. */
export type JwtReader = {
  /** Returns `invalid` for an invalid token, and undefined if the token must be introspected. */
  read(token: string): Promise<AccessToken | 'invalid' | undefined>;
  /**
   * Reads the published keys again before the next token is read.
   * @param revoked the `kid` of a revoked key; its tokens must be introspected.
   */
  keysChanged(revoked?: string): void;
};

/** The members of a published key that limit the dates of its tokens, in seconds. */
type Limits = { token_lifetime?: unknown; retired_at?: unknown };

/**
 * Time that a key is reused for the same header without reading the key set, which jose refreshes after ten minutes.
 */
const keyMs = 60_000;
/** Maximum difference between the clocks of the server's processes and of this one. */
const leewaySeconds = 60;
/** Maximum number of remembered revoked keys. Older ones are missing from the published keys anyway. */
const maxRevoked = 100;

export function createJwtReader(readerOptions: JwtReaderOptions): JwtReader {
  const { issuer, resource, algorithms, acceptTypJwt, fetch, timeoutMs } = readerOptions;
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
    cooldownDuration: 1_000,
    timeoutDuration: timeoutMs,
    [customFetch]: (url, init) => fetch(url, init as RequestInit),
  });
  const options = {
    issuer,
    audience: resource,
    algorithms: [...algorithms],
    // With `typ: JWT`, these distinguish an access token from other JWTs of the same issuer.
    requiredClaims: ['exp', 'iat', 'client_id', 'jti', 'scope'],
  };
  /**
   * Caches the key by header: all tokens of one key begin with the same bytes, so parsing and finding the key can be
   * skipped.
   */
  let known: { header: string; key: CryptoKey; limits: Limits; at: Moment } | undefined;
  const revoked = new Set<unknown>();
  /** Number of reported changes. The keys are read again until a read began after the last change. */
  let changed = 0;
  let readAt = 0;

  async function refreshKeys(): Promise<void> {
    const change = changed;
    if (change === readAt) return;
    await keys.reload();
    readAt = change;
  }

  const types: readonly unknown[] = acceptTypJwt ? ['at+jwt', 'JWT'] : ['at+jwt'];

  /** Checks the type here, because a header that equals that of `known` need not be checked again. */
  const findKey: JWTVerifyGetKey = async (header, jws) => {
    if (!types.includes(header.typ)) throw new errors.JWTInvalid('not the type of an access token');
    return await keys(header, jws);
  };

  async function verify(token: string, header: string): Promise<AccessToken | undefined> {
    const at = currentMoment();
    if (known?.header === header && ageOf(known.at) < keyMs) {
      const { payload } = await jwtVerify(token, known.key, options);
      return withinLimits(toAccessToken(payload), known.limits);
    }
    await refreshKeys();
    const change = changed;
    const { payload, key, protectedHeader } = await jwtVerify(token, findKey, options);
    const { kid } = protectedHeader;
    const limits = (keys.jwks()?.keys.find((one) => one.kid === kid) ?? {}) as Limits;
    if (change === changed) known = { header, key: key as CryptoKey, limits, at };
    return withinLimits(toAccessToken(payload), limits);
  }

  return {
    read: async (token) => {
      const [header, ...rest] = token.split('.', 4) as [string, ...string[]];
      if (rest.length !== 2) return undefined;
      try {
        const change = changed;
        if (revoked.size > 0 && revoked.has(decodeProtectedHeader(token).kid)) return undefined;
        const read = await verify(token, header);
        // Discard the result if the key may have been revoked during the check.
        return change === changed ? read : undefined;
      } catch (error) {
        return isOfKeys(error) ? undefined : 'invalid';
      }
    },
    keysChanged: (kid) => {
      changed += 1;
      known = undefined;
      if (kid === undefined) return;
      revoked.add(kid);
      if (revoked.size > maxRevoked) revoked.delete(revoked.values().next().value);
    },
  };
}

/**
 * Returns a token only if the server can have issued it with these dates. Otherwise it was made with a stolen key, or
 * this clock is wrong: its lifetime is longer than that of the key's tokens, or its `iat` is after the key's retirement
 * or in the future.
 */
function withinLimits(token: AccessToken, limits: Limits): AccessToken | undefined {
  const { issuedAt, expiresAt } = token;
  const { token_lifetime: lifetime, retired_at: retiredAt } = limits;
  if (typeof lifetime === 'number' && expiresAt - issuedAt > lifetime) return undefined;
  if (typeof retiredAt === 'number' && issuedAt > retiredAt + leewaySeconds) return undefined;
  return issuedAt <= Date.now() / 1_000 + leewaySeconds ? token : undefined;
}

/**
 * Returns whether the key set caused the error: it cannot be read, or lacks a new key that only the server knows yet.
 */
function isOfKeys(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return true;
  return error.code.startsWith('ERR_JWKS') || error.code === 'ERR_JOSE_GENERIC';
}
