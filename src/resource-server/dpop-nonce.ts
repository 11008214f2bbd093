import { createHmac, timingSafeEqual } from 'node:crypto';

/** A nonce is good from one to two of these. */
const stepMs = 60_000;

export type DpopNonce = { current(now: number): string; isGood(nonce: unknown, now: number): boolean };

/** This resource server's nonce for DPoP proofs (RFC 9449 §9): an HMAC over the time, so that all processes with one key know each other's. */
export function createDpopNonce(key: string): DpopNonce {
  const make = (step: number) => createHmac('sha256', key).update(`dpop-nonce ${step}`).digest().subarray(0, 18);
  return {
    current: (now) => make(Math.floor(now / stepMs)).toString('base64url'),
    isGood: (nonce, now) => {
      if (typeof nonce !== 'string' || !/^[\w-]{24}$/.test(nonce)) return false;
      const given = Buffer.from(nonce, 'base64url');
      // Another process may be a step ahead, by its clock.
      return [0, -1, 1].some((distance) => timingSafeEqual(make(Math.floor(now / stepMs) + distance), given));
    },
  };
}
