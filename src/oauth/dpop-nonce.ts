import { createHmac, timingSafeEqual } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Clock } from '../process/clock.ts';

/**
 * Length of a nonce step. A nonce is accepted for one to two steps, so that not every token request needs a second
 * attempt.
 */
const stepMs = 60_000;

export type DpopNonce = { current(): string; isGood(nonce: unknown): boolean };

/**
 * Creates the server's nonces for DPoP proofs (RFC 9449 §8), which show that a proof is recent. A nonce is an HMAC over
 * the time, so that every process accepts those of the others without a store.
 */
export function createDpopNonce({ keyRing, clock }: { keyRing: KeyRing; clock: Clock }): DpopNonce {
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
