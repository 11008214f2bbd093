import { createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose';
import { type AccessToken, toAccessToken } from './access-token.ts';

export type JwtReaderOptions = {
  issuer: string;
  resource: string;
  algorithms: readonly string[];
  fetch: typeof globalThis.fetch;
  timeoutMs: number;
};

/** What a value says as a JWT access token; undefined: nothing, so it has to be asked about. */
export type JwtReader = (token: string) => Promise<AccessToken | 'invalid' | undefined>;

/** Reads JWT access tokens (RFC 9068 §4) by the server's published keys. */
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
  return async (token) => {
    if (token.split('.', 4).length !== 3) return undefined;
    try {
      const { payload } = await jwtVerify(token, keys, options);
      return toAccessToken(payload);
    } catch (error) {
      return isOfKeys(error) ? undefined : 'invalid';
    }
  };
}

/** Whether the keys are at fault: they cannot be read, or lack one that began to sign a moment ago, which the server knows first. */
function isOfKeys(error: unknown): boolean {
  if (!(error instanceof errors.JOSEError)) return true;
  return error.code.startsWith('ERR_JWKS') || error.code === 'ERR_JOSE_GENERIC';
}
