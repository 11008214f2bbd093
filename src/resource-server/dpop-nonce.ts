import { createHmac, timingSafeEqual } from 'node:crypto';

/** Length of a nonce step. A nonce is accepted for one to two steps. */
const stepMs = 60_000;

export type DpopNonce = { current(now: number): string; isGood(nonce: unknown, now: number): boolean };

/**
 * Creates this resource server's nonces for DPoP proofs (RFC 9449 §9): an HMAC over the time, so that all processes
 * with the same key accept them.
 */
export function createDpopNonce(key: string): DpopNonce {
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
