import { generateSecret, hintOf, type SecretPrefix } from './credential-format.ts';
import type { KeyRing } from './key-ring.ts';
import { type SealedPlace, seal } from './sealed-copy.ts';
import { createVerifier, type PepperPurpose, type Verifier } from './verifier.ts';

/** A newly issued secret. The only type with a plaintext beside the stored values. */
export type IssuedSecret = Verifier & { plaintext: string; sealed: string | null; hint: string };

/**
 * Issues a secret, or uses that of an imported client.
 * @param place where the sealed copy will be stored, or null to make no copy.
 * @param plaintext the secret of an imported client.
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
