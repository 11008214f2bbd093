import { hash, randomBytes } from 'node:crypto';
import type { Secret } from './secret.ts';

/**
 * SHA-256 digests of secrets that this process has verified, which save the HMAC at later uses. They are kept only in
 * memory and only as long as the stored secret they belong to. Each digest includes a random value of this process, so
 * that the timing of a comparison does not help to test guesses.
 */
const digests = new WeakMap<Secret, string>();
const salt = randomBytes(32).toString('base64url');

/** Caches a value. Callers must pass only values that the verifier has matched. */
export function rememberVerified(secret: Secret, value: string): void {
  digests.set(secret, digestOf(value));
}

/** Returns the candidate that the value was verified against. Undefined means unknown, not wrong. */
export function recallVerified(value: string, candidates: readonly Secret[]): Secret | undefined {
  // Compute the digest without candidates too, so that the time does not depend on whether there are any.
  const digest = digestOf(value);
  for (const candidate of candidates) if (digests.get(candidate) === digest) return candidate;
  return undefined;
}

function digestOf(value: string): string {
  return hash('sha256', salt + value, 'base64url');
}
