/** The request that a DPoP proof must have been made for. */
export type ProvenRequest = { method: string | undefined; url: string | undefined };

type Claims = Readonly<Record<string, unknown>>;

/**
 * Maximum difference between a proof's `iat` and the clock, in seconds; also how far a proof's `nbf` may be in the
 * future.
 */
export const proofFreshSeconds = 60;

/**
 * Checks the claims of a DPoP proof that do not depend on an access token (RFC 9449 §4.3). The token endpoint and the
 * resource-server library share this check.
 * @param now seconds since 1970-01-01 UTC.
 * @returns the problem as a sentence, or undefined if the claims are valid.
 */
export function findProofProblem(claims: Claims, { method, url }: ProvenRequest, now: number): string | undefined {
  const { htm, htu, iat, jti, exp, nbf } = claims;
  if (htm !== method || method === undefined) return 'The DPoP proof is for another method.';
  if (url === undefined || typeof htu !== 'string' || normalize(htu) !== normalize(url)) {
    return 'The DPoP proof is for another URL.';
  }
  if (typeof iat !== 'number' || !(Math.abs(iat - now) <= proofFreshSeconds)) return 'The DPoP proof is not of now.';
  if (nbf !== undefined && !(typeof nbf === 'number' && nbf <= now + proofFreshSeconds)) {
    return 'The DPoP proof is not valid yet (nbf).';
  }
  if (exp !== undefined && !(typeof exp === 'number' && exp > now)) return 'The DPoP proof has expired (exp).';
  return typeof jti === 'string' && jti !== '' ? undefined : 'The DPoP proof has no jti.';
}

/** Returns a URL without query and fragment (RFC 9449 §4.3), normalized as in RFC 3986 §6.2.2 and §6.2.3. */
function normalize(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { origin, pathname } = new URL(text);
  return origin + pathname.replace(/%[0-9a-f]{2}/gi, normalizeEscape);
}

function normalizeEscape(triplet: string): string {
  const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : triplet.toUpperCase();
}
