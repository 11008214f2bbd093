import type { Verifier } from './verifier.ts';

/** A stored client secret or access key value. It does not contain the plaintext. */
export type Secret = Verifier & {
  id: string;
  /** The Client ID that this client secret is valid with. Null for an access key. */
  clientId: string | null;
  /** The number of this secret, starting at 1, which is recorded in each token that was obtained with it. */
  generation: number;
  hint: string;
  createdAt: Date;
  /** Null for the current secret. A future date ends its grace period; after a past date it is rejected. */
  retiresAt: Date | null;
  /**
   * How the secret was ended before its date, or null if it was not. Tokens obtained with an undone secret are inactive
   * too.
   */
  endedAs: 'finished' | 'undone' | null;
};

/**
 * Returns whether a secret is accepted now. Checked at each use, so that a grace period ends on time on every process
 * without a job. A secret that was ended early is rejected regardless of the process's clock.
 */
export function isLive(secret: Pick<Secret, 'retiresAt' | 'endedAs'>, now: number): boolean {
  if (secret.endedAs !== null) return false;
  return secret.retiresAt === null || now < secret.retiresAt.getTime();
}
