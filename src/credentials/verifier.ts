import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
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

function hmac(ring: KeyRing, purpose: PepperPurpose, version: string, secret: string): Buffer {
  const pepper = ring.key(purpose, version);
  if (!pepper) throw new Error(`no root key of version ${version}`);
  return hmacOfKey(pepper)(secret);
}

/**
 * SHA-256 digests of secrets that this process has verified, which save the HMAC at later uses. They are kept only in
 * memory and only as long as the stored secret they belong to. Each digest includes a random value of this process, so
 * that the timing of a comparison does not help to test guesses.
 */
const digests = new WeakMap<Verifier, string>();
const salt = randomBytes(32).toString('base64url');

/** Caches a value. Callers must pass only values that the verifier has matched. */
export function rememberVerified(secret: Verifier, value: string): void {
  digests.set(secret, digestOf(value));
}

/** Returns the candidate that the value was verified against. Undefined means unknown, not wrong. */
export function recallVerified<S extends Verifier>(value: string, candidates: readonly S[]): S | undefined {
  // Compute the digest without candidates too, so that the time does not depend on whether there are any.
  const digest = digestOf(value);
  for (const candidate of candidates) if (digests.get(candidate) === digest) return candidate;
  return undefined;
}

function digestOf(value: string): string {
  return hash('sha256', salt + value, 'base64url');
}

const nothing = new Uint8Array();
const hmacs = new WeakMap<Uint8Array, ReturnType<typeof hmacSha256>>();

/** Returns `hmacSha256` of a derived key. It is prepared once, because a key ring keeps its keys for its lifetime. */
export function hmacOfKey(key: Uint8Array): ReturnType<typeof hmacSha256> {
  let compute = hmacs.get(key);
  if (!compute) {
    compute = hmacSha256(key);
    hmacs.set(key, compute);
  }
  return compute;
}

/**
 * Returns HMAC-SHA-256 (RFC 2104) of a text and of bytes that follow it, with this key of at most 64 bytes. `createHmac`
 * sets up OpenSSL objects for each text, which takes longer than hashing a short one.
 */
export function hmacSha256(key: Uint8Array): (text: string, bytes?: Uint8Array) => Buffer {
  const blockBytes = 64;
  const inner = Buffer.alloc(blockBytes, 0x36);
  const outer = Buffer.alloc(blockBytes + 32, 0x5c);
  for (const [index, byte] of key.entries()) {
    inner[index] = byte ^ 0x36;
    outer[index] = byte ^ 0x5c;
  }
  return (text, bytes = nothing) => {
    const textBytes = Buffer.byteLength(text);
    const message = Buffer.allocUnsafe(blockBytes + textBytes + bytes.length);
    inner.copy(message);
    message.write(text, blockBytes);
    message.set(bytes, blockBytes + textBytes);
    outer.write(hash('sha256', message, 'binary'), blockBytes, 'binary');
    return Buffer.from(hash('sha256', outer, 'binary'), 'binary');
  };
}
