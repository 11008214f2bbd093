import { hash, timingSafeEqual } from 'node:crypto';
import type { Secret } from './secret.ts';

/**
 * The SHA-256 of each secret that this process has verified, in memory alone and for as long as the stored secret that it belongs to
 * is: once that is forgotten (it changed, or anything of its owner did), so is this. It spares the keyed hash at every later use. A
 * secret has 256 bits of chance, and an imported one was looked at for enough, so its plain hash gives nothing away that could be
 * tried out.
 */
const digests = new WeakMap<Secret, Buffer>();

/** To be called with what the verifier has matched, and nothing else. */
export function rememberVerified(secret: Secret, value: string): void {
  digests.set(secret, digestOf(value));
}

/** Which of the candidates the value was verified to be; undefined says nothing about the value. */
export function recallVerified(value: string, candidates: readonly Secret[]): Secret | undefined {
  // Also for nobody, so that it takes the same time whether or not there are candidates.
  const digest = digestOf(value);
  let match: Secret | undefined;
  for (const candidate of candidates) {
    const verified = digests.get(candidate);
    if (verified && timingSafeEqual(digest, verified)) match = candidate;
  }
  return match;
}

function digestOf(value: string): Buffer {
  return hash('sha256', value, 'buffer');
}
