import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { KeyPurpose, KeyRing } from './key-ring.ts';

/** The stored values that verify a secret: its HMAC-SHA-256 under a pepper, and the version of the pepper. */
export type Verifier = { verifier: Uint8Array; keyVersion: string };

export type PepperPurpose = Extract<KeyPurpose, `${string}-pepper`>;

export function createVerifier(ring: KeyRing, purpose: PepperPurpose, secret: string): Verifier {
  return { verifier: hmac(ring, purpose, ring.current, secret), keyVersion: ring.current };
}

/** Returns the HMACs under every version in the ring, for an indexed look-up by secret. */
export function verifiersOf(ring: KeyRing, purpose: PepperPurpose, secret: string): Buffer[] {
  return ring.versions.map((version) => hmac(ring, purpose, version, secret));
}

/** Returns the candidate that matches a secret, if any. */
export type Matcher = <C extends Verifier>(candidates: readonly C[]) => C | undefined;

/**
 * Computes a secret's HMACs under every version once, to compare them with any candidates. The time does not depend on
 * the number of candidates or on a match: without candidates, a dummy is compared.
 */
export function createMatcher(ring: KeyRing, purpose: PepperPurpose, secret: string): Matcher {
  const computed = ring.versions.map((version) => [version, hmac(ring, purpose, version, secret)] as const);
  return <C extends Verifier>(candidates: readonly C[]) => {
    let match: C | undefined;
    for (const [version, verifier] of computed) {
      timingSafeEqual(verifier, dummy);
      for (const candidate of candidates) {
        if (candidate.keyVersion !== version || candidate.verifier.length !== verifier.length) continue;
        if (timingSafeEqual(verifier, candidate.verifier)) match = candidate;
      }
    }
    return match;
  };
}

const dummy = Buffer.alloc(32);

/** Peppers as OpenSSL key objects. Creating one costs four times as much as an HMAC with it. */
const keyObjects = new WeakMap<Buffer, KeyObject>();

function hmac(ring: KeyRing, purpose: PepperPurpose, version: string, secret: string): Buffer {
  const pepper = ring.key(purpose, version);
  if (!pepper) throw new Error(`no root key of version ${version}`);
  let key = keyObjects.get(pepper);
  if (!key) {
    key = createSecretKey(pepper);
    keyObjects.set(pepper, key);
  }
  return createHmac('sha256', key).update(secret).digest();
}
