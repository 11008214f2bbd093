import { hash, randomBytes } from 'node:crypto';
import type { Secret } from './secret.ts';

/**
 * The SHA-256 of each secret that this process has verified, in memory alone and for as long as the stored secret that it belongs to
 * is: once that is forgotten (it changed, or anything of its owner did), so is this. It spares the keyed hash at every later use. It is
 * taken together with a value that this process has drawn by chance: so how long two digests take to compare tells nobody anything that
 * a secret could be tried out against.
 */
const digests = new WeakMap<Secret, string>();
const salt = randomBytes(32).toString('base64url');

/** To be called with what the verifier has matched, and nothing else. */
export function rememberVerified(secret: Secret, value: string): void {
  digests.set(secret, digestOf(value));
}

/** Which of the candidates the value was verified to be; undefined says nothing about the value. */
export function recallVerified(value: string, candidates: readonly Secret[]): Secret | undefined {
  // Also for nobody, so that it takes the same time whether or not there are candidates.
  const digest = digestOf(value);
  for (const candidate of candidates) if (digests.get(candidate) === digest) return candidate;
  return undefined;
}

function digestOf(value: string): string {
  return hash('sha256', salt + value, 'base64url');
}
