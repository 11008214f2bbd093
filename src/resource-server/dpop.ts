import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import {
  calculateJwkThumbprint,
  compactVerify,
  decodeProtectedHeader,
  EmbeddedJWK,
  errors,
  type JWK,
  type JWTPayload,
} from 'jose';
import { AccessTokenError } from './access-token.ts';

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
        throw new AccessTokenError(
          'use_dpop_nonce',
          'The DPoP proof must contain the nonce from the DPoP-Nonce header.',
        );
      }
      if (thumbprint !== jkt) throw new AccessTokenError('invalid_token', 'The access token is bound to another key.');
      // Store the proof last, so that only the holder of the key can consume memory and proofs.
      const id = createHash('sha256').update(`${jkt} ${claims.jti}`).digest('base64url');
      if (!memory.useOnce(id, claims.iat as number, now / 1_000))
        throw invalidProof('The DPoP proof was already used.');
    },
  };
}

async function verify(proof: string): Promise<{ claims: JWTPayload; thumbprint: string }> {
  // Repeated headers are joined by commas, so they fail this check.
  if (proof.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(proof))
    throw invalidProof('The DPoP header must contain exactly one proof.');
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

/** The request that a DPoP proof must have been made for. */
type ProvenRequest = { method: string | undefined; url: string | undefined };

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
  if (htm !== method || method === undefined) return 'The DPoP proof is for another method (htm).';
  if (url === undefined || typeof htu !== 'string' || normalize(htu) !== normalize(url)) {
    return 'The DPoP proof is for another URL (htu).';
  }
  if (typeof iat !== 'number' || !(Math.abs(iat - now) <= proofFreshSeconds))
    return 'The DPoP proof was not created recently (iat).';
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

/** Length of a nonce step. A nonce is accepted for one to two steps. */
const stepMs = 60_000;

type DpopNonce = { current(now: number): string; isGood(nonce: unknown, now: number): boolean };

/**
 * Creates this resource server's nonces for DPoP proofs (RFC 9449 §9): an HMAC over the time, so that all processes
 * with the same key accept them.
 */
function createDpopNonce(key: string): DpopNonce {
  const make = (step: number) => createHmac('sha256', key).update(`dpop-nonce ${step}`).digest().subarray(0, 18);
  return {
    current: (now) => make(Math.floor(now / stepMs)).toString('base64url'),
    isGood: (nonce, now) => {
      if (typeof nonce !== 'string' || !/^[\w-]{24}$/.test(nonce)) return false;
      const given = Buffer.from(nonce, 'base64url');
      // Another process's clock may be one step ahead.
      return [0, -1, 1].some((distance) => timingSafeEqual(make(Math.floor(now / stepMs) + distance), given));
    },
  };
}

/** A memory of the DPoP proofs that this process has accepted. */
type ProofMemory = {
  /** Returns true if the proof was not used before. Times are in seconds. */
  useOnce(id: string, issuedAt: number, now: number): boolean;
};

/**
 * Keeps proofs as long as they could be accepted, but no more than `maxProofs`. Beyond that, it drops the oldest ones
 * and rejects every proof of their time, so that no proof is accepted twice.
 */
function createProofMemory(maxProofs: number, acceptedForSeconds: number): ProofMemory {
  const bySecond = new Map<number, Set<string>>();
  let size = 0;
  /** Proofs issued up to this second are rejected. */
  let refusedUntil = Number.NEGATIVE_INFINITY;
  let cleanedAt = Number.NEGATIVE_INFINITY;

  function forget(second: number): void {
    size -= bySecond.get(second)?.size ?? 0;
    bySecond.delete(second);
  }

  function forgetEnded(now: number): void {
    if (now - cleanedAt < 1) return;
    cleanedAt = now;
    for (const second of bySecond.keys()) {
      if (second >= Math.floor(now - acceptedForSeconds)) continue;
      forget(second);
      // Reject the dropped seconds from now on: the clock may have jumped forward and be set back later.
      refusedUntil = Math.max(refusedUntil, second);
    }
  }

  function shrink(): void {
    while (size > maxProofs) {
      const oldest = Math.min(...bySecond.keys());
      forget(oldest);
      refusedUntil = Math.max(refusedUntil, oldest);
    }
  }

  return {
    useOnce: (id, issuedAt, now) => {
      forgetEnded(now);
      const second = Math.floor(issuedAt);
      const used = bySecond.get(second) ?? new Set();
      if (second <= refusedUntil || used.has(id)) return false;
      bySecond.set(second, used.add(id));
      size += 1;
      shrink();
      return true;
    },
  };
}
