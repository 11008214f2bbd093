import { type CryptoKey, createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose';
import { type AccessToken, toAccessToken } from './access-token.ts';

export type JwtReaderOptions = {
  issuer: string;
  resource: string;
  algorithms: readonly string[];
  fetch: typeof globalThis.fetch;
  timeoutMs: number;
};

/** Reads a value as a JWT access token. Undefined means that the server must be asked about it. */
export type JwtReader = (token: string) => Promise<AccessToken | 'invalid' | undefined>;

/** How long a key is reused for the same header without the key set, which jose refreshes after ten minutes. */
const keyMs = 60_000;

/** Reads JWT access tokens (RFC 9068 §4) with the server's published keys. */
export function createJwtReader({ issuer, resource, algorithms, fetch, timeoutMs }: JwtReaderOptions): JwtReader {
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`), {
    cooldownDuration: 1_000,
    timeoutDuration: timeoutMs,
    [customFetch]: (url, init) => fetch(url, init as RequestInit),
  });
  const options = {
    issuer,
    audience: resource,
    typ: 'at+jwt',
    algorithms: [...algorithms],
    requiredClaims: ['exp', 'iat', 'client_id', 'jti'],
  };
  /** All tokens of one key begin with the same header bytes, so parsing it and finding the key can be skipped. */
  let known: { header: string; key: CryptoKey; until: number } | undefined;

  return async (token) => {
    const [header, ...rest] = token.split('.', 4) as [string, ...string[]];
    if (rest.length !== 2) return undefined;
    try {
      const now = Date.now();
      if (known?.header === header && now < known.until) {
        return toAccessToken((await jwtVerify(token, known.key, options)).payload);
      }
      const { payload, key } = await jwtVerify(token, keys, options);
      known = { header, key: key as CryptoKey, until: now + keyMs };
      return toAccessToken(payload);
    } catch (error) {
      return isOfKeys(error) ? undefined : 'invalid';
    }
  };
}

/** Returns whether the key set is the cause: it cannot be read, or lacks a new key, which only the server knows yet. */
function isOfKeys(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return true;
  return error.code.startsWith('ERR_JWKS') || error.code === 'ERR_JOSE_GENERIC';
}
