import { generateSecret, hintOf, type SecretPrefix } from './credential-format.ts';
import type { KeyRing } from './key-ring.ts';
import { type SealedPlace, seal } from './sealed-copy.ts';
import { createVerifier, type PepperPurpose, type Verifier } from './verifier.ts';

/** A secret that was just made. The only type that holds a plaintext; everything that is stored comes beside it. */
export type IssuedSecret = Verifier & { plaintext: string; sealed: string | null; hint: string };

/**
 * @param place where a sealed copy will stand, or null to keep none.
 * @param plaintext of an imported client: what it came with.
 */
export function issueSecret(
  ring: KeyRing,
  prefix: SecretPrefix,
  purpose: PepperPurpose,
  place: SealedPlace | null,
  plaintext: string = generateSecret(prefix),
): IssuedSecret {
  return {
    plaintext,
    ...createVerifier(ring, purpose, plaintext),
    sealed: place && seal(ring, place, plaintext),
    hint: hintOf(plaintext),
  };
}
