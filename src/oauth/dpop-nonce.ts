import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { KeyRing } from '../credentials/key-ring.ts';

/** A nonce is good from one to two of these: long enough not to ask for a second attempt at every token. */
const stepMs = 60_000;

export type DpopNonce = { current(): string; isGood(nonce: unknown): boolean };

/**
 * The server's nonce for DPoP proofs (RFC 9449 §8): proof that a proof was made just now. An HMAC over the time, so that every process
 * knows every other's without a store.
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
      // Another process may be a step ahead, by its clock; or have another version of the root key.
      const steps = [0, -1, 1].map((distance) => step() + distance);
      return keyRing.versions.some((version) => steps.some((each) => timingSafeEqual(make(version, each), given)));
    },
  };
}
