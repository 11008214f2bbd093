import { createHmac, timingSafeEqual } from 'node:crypto';
import { calculateJwkThumbprint, compactVerify, decodeProtectedHeader, type JWK } from 'jose';
import type { Context } from 'koa';
import { readVerificationKey } from '../clients/verification-key.ts';
import type { Core } from '../core.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
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
      const { jwk, claims } = await verify(String(ctx.req.headers['dpop']));
      const url = new URL(calledTokenPath(ctx), core.config.issuer).href;
      const problem = findProofProblem(claims, { method: 'POST', url }, core.clock() / 1_000);
      if (problem !== undefined) throw invalidProof(problem);
      requireNonce(claims, nonces);
      const jkt = await calculateJwkThumbprint(jwk);
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

async function verify(proof: string): Promise<{ jwk: JWK; claims: Record<string, unknown> }> {
  if (proof.length > maxLength || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(proof)) throw invalidProof('not a signed JWT');
  try {
    const header = decodeProtectedHeader(proof);
    if (header.typ !== 'dpop+jwt') throw invalidProof('not of type dpop+jwt');
    if (header.crit !== undefined || 'b64' in header) throw invalidProof('has an extension');
    const key = readVerificationKey(header.jwk);
    if (typeof key === 'string') throw invalidProof(`its key ${key}`);
    if (!key.algs.some((alg) => alg === header.alg)) throw invalidProof('alg is not that of its key');
    const { payload } = await compactVerify(proof, key.key, { algorithms: [...key.algs] });
    const claims: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
    if (typeof claims !== 'object' || claims === null) throw invalidProof('no claims');
    return { jwk: key.key.export({ format: 'jwk' }) as JWK, claims: claims as Record<string, unknown> };
  } catch (error) {
    throw error instanceof KeyturnError ? error : invalidProof((error as Error).message);
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
  const make = (version: string, step: number) =>
    createHmac('sha256', keyRing.key('dpop-nonce', version) as Buffer)
      .update(String(step))
      .digest()
      .subarray(0, 18);

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
