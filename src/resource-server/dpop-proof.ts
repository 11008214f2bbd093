import { createHash } from 'node:crypto';
import {
  calculateJwkThumbprint,
  compactVerify,
  decodeProtectedHeader,
  EmbeddedJWK,
  errors,
  type JWK,
  type JWTPayload,
} from 'jose';
import { AccessTokenError } from './access-token-error.ts';
import { findProofProblem, type ProvenRequest, proofFreshSeconds } from './dpop-claims.ts';
import { createDpopNonce } from './dpop-nonce.ts';
import { createProofMemory } from './proof-memory.ts';

/** The algorithms that the authorization server accepts too, without HMAC and RSASSA-PKCS1-v1_5. */
export const dpopAlgorithms = ['ES256', 'EdDSA', 'Ed25519', 'PS256'];

export type DpopProofs = {
  /**
   * Checks that a proof was made for this request, recently, with the key that the token is bound to (RFC 9449 §4.3,
   * §7).
   * @param jkt that key's thumbprint, as in the token's `cnf`.
   * @throws {AccessTokenError} `invalid_dpop_proof`, `use_dpop_nonce`, or `invalid_token` for another key.
   */
  require(proof: string | undefined, request: ProvenRequest & { token: string }, jkt: string): Promise<void>;
  /** Returns the nonce for the next proof, if nonces are required. */
  nonce(): string | undefined;
};

const maxLength = 4 * 1_024;

/** @param options.nonceKey makes a nonce required; all processes of a resource server need the same value. */
export function createDpopProofs({
  nonceKey,
  maxProofs,
}: {
  nonceKey: string | undefined;
  maxProofs: number;
}): DpopProofs {
  const nonces = nonceKey === undefined ? undefined : createDpopNonce(nonceKey);
  const memory = createProofMemory(maxProofs, proofFreshSeconds);
  const nonce = () => nonces?.current(Date.now());

  return {
    nonce,
    require: async (proof, request, jkt) => {
      if (proof === undefined) throw invalidProof('The DPoP header is missing.');
      const { claims, thumbprint } = await verify(proof);
      const now = Date.now();
      const problem = findProofProblem(claims, request, now / 1_000);
      if (problem !== undefined) throw invalidProof(problem);
      if (claims['ath'] !== createHash('sha256').update(request.token).digest('base64url')) {
        throw invalidProof('The DPoP proof is for another access token.');
      }
      if (nonces && !nonces.isGood(claims['nonce'], now)) {
        throw new AccessTokenError('use_dpop_nonce', 'The DPoP proof must carry the nonce of the DPoP-Nonce header.');
      }
      if (thumbprint !== jkt) throw new AccessTokenError('invalid_token', 'The access token is bound to another key.');
      // Store the proof last, so that only the holder of the key can consume memory and proofs.
      const id = createHash('sha256').update(`${jkt} ${claims.jti}`).digest('base64url');
      if (!memory.useOnce(id, claims.iat as number, now / 1_000)) throw invalidProof('The DPoP proof was used before.');
    },
  };
}

async function verify(proof: string): Promise<{ claims: JWTPayload; thumbprint: string }> {
  // Repeated headers are joined by commas, so they fail this check.
  if (proof.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(proof))
    throw invalidProof('It is not one DPoP proof.');
  try {
    const header = decodeProtectedHeader(proof);
    if (header.typ !== 'dpop+jwt') throw new errors.JWTInvalid('it is of another type');
    if (header.crit !== undefined || 'b64' in header) throw new errors.JOSENotSupported('it has an extension');
    const { payload } = await compactVerify(proof, EmbeddedJWK, { algorithms: dpopAlgorithms });
    const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
    if (typeof claims !== 'object' || claims === null) throw new errors.JWTInvalid('it has no claims');
    return { claims: claims as JWTPayload, thumbprint: await calculateJwkThumbprint(header.jwk as JWK) };
  } catch (error) {
    // Errors from outside jose concern the key: it cannot be imported or is too weak.
    const reason = error instanceof errors.JOSEError ? error.code : 'its key';
    throw invalidProof(`The DPoP proof is not valid (${reason}).`, error);
  }
}

function invalidProof(message: string, cause?: unknown): AccessTokenError {
  return new AccessTokenError('invalid_dpop_proof', message, { cause });
}
