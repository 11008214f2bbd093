import { createHash } from 'node:crypto';
import {
  calculateJwkThumbprint,
  decodeProtectedHeader,
  EmbeddedJWK,
  errors,
  type JWK,
  type JWTPayload,
  jwtVerify,
} from 'jose';
import { AccessTokenError } from './access-token-error.ts';
import { createDpopNonce } from './dpop-nonce.ts';
import { createProofMemory } from './proof-memory.ts';

/** The algorithms that the server accepts too. No HMAC and no RSASSA-PKCS1-v1_5. */
export const dpopAlgorithms = ['ES256', 'EdDSA', 'Ed25519', 'PS256'];

/** The request that a proof must have been made for. */
type ProvenRequest = { method: string | undefined; url: string | undefined; token: string };

export type DpopProofs = {
  /**
   * Checks that a proof was made for this request, just now, with the key that the token is bound to (RFC 9449 §4.3,
   * §7).
   * @param jkt that key's thumbprint, as in the token's `cnf`.
   * @throws {AccessTokenError} `invalid_dpop_proof`, `use_dpop_nonce`, or `invalid_token` for another key.
   */
  require(proof: string | undefined, request: ProvenRequest, jkt: string): Promise<void>;
  /** The nonce for the next proof, if nonces are required. */
  nonce(): string | undefined;
};

const maxLength = 4 * 1_024;
/** Largest accepted difference between a proof's date and the clock. */
const freshSeconds = 60;

/** @param options.nonceKey makes a nonce required; the same in all processes of a resource server. */
export function createDpopProofs({
  nonceKey,
  maxProofs,
}: {
  nonceKey: string | undefined;
  maxProofs: number;
}): DpopProofs {
  const nonces = nonceKey === undefined ? undefined : createDpopNonce(nonceKey);
  const memory = createProofMemory(maxProofs, freshSeconds);
  const nonce = () => nonces?.current(Date.now());

  return {
    nonce,
    require: async (proof, request, jkt) => {
      if (proof === undefined) throw invalidProof('The DPoP header is missing.');
      const { claims, thumbprint } = await verify(proof);
      const now = Date.now();
      requireClaims(claims, request, now / 1_000);
      if (nonces && !nonces.isGood(claims['nonce'], now)) {
        throw new AccessTokenError('use_dpop_nonce', 'The DPoP proof must carry the nonce of the DPoP-Nonce header.');
      }
      if (thumbprint !== jkt) throw new AccessTokenError('invalid_token', 'The access token is bound to another key.');
      // Remember the proof last, so that only the holder of the key can use up memory and proofs.
      const id = createHash('sha256').update(`${jkt} ${claims.jti}`).digest('base64url');
      if (!memory.useOnce(id, claims.iat as number, now / 1_000)) throw invalidProof('The DPoP proof was used before.');
    },
  };
}

async function verify(proof: string): Promise<{ claims: JWTPayload; thumbprint: string }> {
  // Repeated headers arrive joined by commas, which is not a JWT.
  if (proof.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(proof))
    throw invalidProof('It is not one DPoP proof.');
  try {
    const { payload } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt', algorithms: dpopAlgorithms });
    const header = decodeProtectedHeader(proof);
    if (header.crit !== undefined || 'b64' in header) throw new errors.JOSENotSupported('it has an extension');
    return { claims: payload, thumbprint: await calculateJwkThumbprint(header.jwk as JWK) };
  } catch (error) {
    // Errors from outside jose concern the key: it cannot be imported or is too weak.
    const reason = error instanceof errors.JOSEError ? error.code : 'its key';
    throw invalidProof(`The DPoP proof is not valid (${reason}).`, error);
  }
}

function requireClaims(claims: JWTPayload, { method, url, token }: ProvenRequest, now: number): void {
  const { htm, htu, iat, jti, ath } = claims;
  if (htm !== method || method === undefined) throw invalidProof('The DPoP proof is for another method.');
  if (url === undefined || typeof htu !== 'string' || normalize(htu) !== normalize(url)) {
    throw invalidProof('The DPoP proof is for another URL.');
  }
  if (typeof iat !== 'number' || !(Math.abs(iat - now) <= freshSeconds))
    throw invalidProof('The DPoP proof is not of now.');
  if (typeof jti !== 'string' || jti === '') throw invalidProof('The DPoP proof has no jti.');
  if (ath !== createHash('sha256').update(token).digest('base64url')) {
    throw invalidProof('The DPoP proof is for another access token.');
  }
}

/** RFC 9449 §4.3: the URL without query and fragment, normalised by RFC 3986 §6.2.2 and §6.2.3. */
function normalize(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { origin, pathname } = new URL(text);
  return origin + pathname.replace(/%[0-9a-f]{2}/gi, normalizeEscape);
}

function normalizeEscape(triplet: string): string {
  const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
  return /[\w.~-]/.test(character) ? character : triplet.toUpperCase();
}

function invalidProof(message: string, cause?: unknown): AccessTokenError {
  return new AccessTokenError('invalid_dpop_proof', message, { cause });
}
