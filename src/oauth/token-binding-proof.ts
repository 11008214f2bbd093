import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { Context } from 'koa';
import { LRUCache } from 'lru-cache';
import { readVerificationKey, type VerificationAlgorithm } from '../clients/verification-key.ts';
import type { Core } from '../core.ts';
import { isSignedWith } from '../credentials/jws-signature.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { thumbprintOf } from '../credentials/registration.ts';
import { KeyturnError } from '../errors.ts';
import { countHeaders } from '../http/normalize-request.ts';
import type { Clock } from '../process/clock.ts';
import { findProofProblem, proofFreshSeconds } from '../resource-server/dpop.ts';
import { calledTokenPath } from './dialect-rules.ts';

const maxLength = 4 * 1024;

export type DpopProofs = {
  /**
   * Returns the thumbprint of the key that a token request proves to have, or undefined if it has no proof.
   * @param owner the id of the client or stand-alone access key that sends the request.
   * @throws {KeyturnError} `invalid_dpop_proof`, or `use_dpop_nonce` if only the nonce is missing or old.
   */
  read(ctx: Context, owner: string): Promise<{ jkt: string } | undefined>;
};

/** Verifies DPoP proofs at the token endpoint (RFC 9449 §4.3, §5, §8). */
export function createDpopProofs(core: Core): DpopProofs {
  const nonces = createDpopNonce(core);

  return {
    read: async (ctx, owner) => {
      const headers = countHeaders(ctx.req.rawHeaders, 'dpop');
      if (headers === 0) return undefined;
      // Send the nonce of the next proof with every answer, so that clients need no extra request for it (§8.2).
      ctx.set('DPoP-Nonce', nonces.current());
      if (headers > 1) throw invalidProof('more than one proof');
      const { jkt, claims } = verify(String(ctx.req.headers['dpop']));
      const url = new URL(calledTokenPath(ctx), core.config.issuer).href;
      const problem = findProofProblem(claims, { method: 'POST', url }, core.clock() / 1_000);
      if (problem !== undefined) throw invalidProof(problem);
      requireNonce(claims, nonces);
      const isFirst = await core.usedAssertions.useOnce({
        owner,
        kind: 'dpop',
        jti: `${jkt} ${claims['jti']}`,
        // Not earlier by the leeway of 60 s: a promoted database would reject every proof for that long. A proof that is
        // accepted again issues a token for the same key, which is useless without that key.
        usableFrom: Number(claims['iat']) * 1_000,
        expiresAt: (Number(claims['iat']) + proofFreshSeconds) * 1_000,
      });
      if (!isFirst) throw invalidProof('used before');
      return { jkt };
    },
  };
}

/** The key of a proof, as its header states it. @property jkt the thumbprint of the key. */
type ProofKey = { alg: VerificationAlgorithm; key: KeyObject; jkt: string };

/**
 * Keys by the encoded header that states them, which a client repeats in each proof. Importing a key takes as long as
 * checking a signature with it.
 */
const knownKeys = new LRUCache<string, ProofKey>({ max: 2_000 });

/** Returns the claims of a proof whose signature is right, and the thumbprint of its key (RFC 9449 §4.3). */
function verify(proof: string): { jkt: string; claims: Record<string, unknown> } {
  if (proof.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(proof)) throw invalidProof('not a signed JWT');
  const header = proof.slice(0, proof.indexOf('.'));
  const proofKey = knownKeys.get(header) ?? readKey(proof);
  const { alg, key, jkt } = proofKey;
  if (!isSignedWith(alg, key, proof)) throw invalidProof('signature verification failed');
  knownKeys.set(header, proofKey);
  return { jkt, claims: decoded(() => decodeJwt(proof)) };
}

function readKey(proof: string): ProofKey {
  const header = decoded(() => decodeProtectedHeader(proof));
  if (header.typ !== 'dpop+jwt') throw invalidProof('not of type dpop+jwt');
  if (header.crit !== undefined || 'b64' in header) throw invalidProof('has an extension');
  const read = readVerificationKey(header.jwk);
  if (typeof read === 'string') throw invalidProof(`its key ${read}`);
  const alg = read.algs.find((each) => each === header.alg);
  if (!alg) throw invalidProof('alg is not that of its key');
  // Export the key, because the header may spell the same key in several ways.
  return { alg, key: read.key, jkt: thumbprintOf(read.key.export({ format: 'jwk' })) };
}

function decoded<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    throw invalidProof((error as Error).message);
  }
}

/** @throws {KeyturnError} `use_dpop_nonce` (RFC 9449 §8). The proof's `jti` stays usable. */
function requireNonce({ nonce }: Record<string, unknown>, nonces: DpopNonce): void {
  if (nonces.isGood(nonce)) return;
  throw new KeyturnError('use_dpop_nonce', 400, 'The DPoP proof must contain the nonce from the DPoP-Nonce header.');
}

function invalidProof(detail: string): KeyturnError {
  return new KeyturnError('invalid_dpop_proof', 400, 'The DPoP proof is not valid.', { detail });
}

/**
 * Length of a nonce step. A nonce is accepted for one to two steps, so that not every token request needs a second
 * attempt.
 */
const stepMs = 60_000;

type DpopNonce = { current(): string; isGood(nonce: unknown): boolean };

/**
 * Creates the server's nonces for DPoP proofs (RFC 9449 §8), which show that a proof is recent. A nonce is an HMAC over
 * the time, so that every process accepts those of the others without a store.
 */
function createDpopNonce({ keyRing, clock }: { keyRing: KeyRing; clock: Clock }): DpopNonce {
  const made = new Map<string, Buffer>();

  function make(version: string, step: number): Buffer {
    const name = `${version} ${step}`;
    let nonce = made.get(name);
    if (!nonce) {
      const key = keyRing.key('dpop-nonce', version) as Buffer;
      nonce = createHmac('sha256', key).update(String(step)).digest().subarray(0, 18);
      // The few nonces of this minute are made again when those of earlier minutes are dropped.
      if (made.size >= 100) made.clear();
      made.set(name, nonce);
    }
    return nonce;
  }

  const step = () => Math.floor(clock() / stepMs);

  return {
    current: () => make(keyRing.current, step()).toString('base64url'),
    isGood: (nonce) => {
      if (typeof nonce !== 'string' || !/^[\w-]{24}$/.test(nonce)) return false;
      const given = Buffer.from(nonce, 'base64url');
      // Another process's clock may be one step ahead, or it may use another version of the root key.
      const steps = [0, -1, 1].map((distance) => step() + distance);
      return keyRing.versions.some((version) => steps.some((each) => timingSafeEqual(make(version, each), given)));
    },
  };
}
