import { randomInt } from 'node:crypto';
import { generateSecret, hintOf, type SecretPrefix } from './credential-format.ts';
import type { KeyRing } from './key-ring.ts';
import { isOfSecret, type Registration } from './registration.ts';
import { type SealedPlace, seal } from './sealed-copy.ts';
import { createVerifier, type PepperPurpose, type Verifier } from './verifier.ts';

/**
 * A stored credential of a client or an access key. It is a secret, of which it does not contain the plaintext, or the
 * keys or the certificate that a client is registered with. All of them are rotated in the same way.
 */
export type Secret = Verifier & {
  id: string;
  /** The Client ID that this client secret is valid with. Null for an access key. */
  clientId: string | null;
  /**
   * The number of this credential, starting at 1, which is recorded in each token that was obtained with it. The keys
   * or the certificate that a client was first registered with have the number 0.
   */
  generation: number;
  /** The last four characters of a secret, or a name of the keys or certificate. */
  hint: string;
  /**
   * How the client is registered while this is its current credential. Null for a secret that was neither preceded nor
   * followed by another kind of credential.
   */
  registration: Registration | null;
  /**
   * The hash that another server stored of an imported secret (slow-hash.ts), until the client first uses the secret.
   * Nothing matches the verifier until then. Null for all other credentials.
   */
  hash: string | null;
  createdAt: Date;
  /** Null for the current secret. A future date ends its grace period; after a past date it is rejected. */
  retiresAt: Date | null;
  /**
   * How the secret was ended before its date, or null if it was not. Tokens obtained with an undone secret are inactive
   * too.
   */
  endedAs: 'finished' | 'undone' | null;
};

/** Returns whether a credential is the registered keys or certificate of a client, not a secret. */
export function isKeyCredential({ registration }: Pick<Secret, 'registration'>): boolean {
  return registration !== null && !isOfSecret(registration);
}

/** Returns what people recognise a credential by: `…` and the end of a secret, or the name of keys or a certificate. */
export function shownHint(secret: Pick<Secret, 'hint' | 'registration'>): string {
  return isKeyCredential(secret) ? secret.hint : `…${secret.hint}`;
}

/**
 * Returns whether a secret is accepted now. Checked at each use, so that a grace period ends on time on every process
 * without a job. A secret that was ended early is rejected regardless of the process's clock.
 */
export function isLive(secret: Pick<Secret, 'retiresAt' | 'endedAs'>, now: number): boolean {
  if (secret.endedAs !== null) return false;
  return secret.retiresAt === null || now < secret.retiresAt.getTime();
}

/** Returns whether only a hash of another server is known of a secret that is accepted now. */
export function awaitsFirstUse(secret: Pick<Secret, 'hash' | 'retiresAt' | 'endedAs'>, now: number): boolean {
  return secret.hash !== null && isLive(secret, now);
}

/** Returns how a secret has ended, or undefined if it is accepted now. */
export function refusalOfSecret(
  secret: Pick<Secret, 'retiresAt' | 'endedAs'>,
  now: number,
): 'undone_secret' | 'retired_secret' | undefined {
  if (secret.endedAs === 'undone') return 'undone_secret';
  return isLive(secret, now) ? undefined : 'retired_secret';
}

/** Returns the current secret: the newest that was not undone. @param secrets newest first. */
export function currentOf(secrets: readonly Secret[]): Secret | undefined {
  return secrets.find((secret) => secret.endedAs !== 'undone');
}

/** Returns the previous secret during a grace period. @param secrets newest first. */
export function retiringOf(secrets: readonly Secret[], now: number): Secret | undefined {
  const current = currentOf(secrets);
  return secrets.find((secret) => secret !== current && isLive(secret, now));
}

/** A newly issued secret. The only type with a plaintext beside the stored values. */
type IssuedSecret = Verifier & { plaintext: string; sealed: string | null; hint: string };

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

/** The lowest epoch. The range fits PostgreSQL's `integer`; epochs of earlier versions were counters and are lower. */
export const lowestTokenEpoch = 2 ** 30;
/** Number of different epochs. */
export const tokenEpochs = 2 ** 30;

/**
 * Returns a new epoch for the tokens of a client or access key. It is random, because a counter would repeat a value
 * after a promoted standby lacked the last commits, and revoked tokens would be valid again.
 */
export function newTokenEpoch(): number {
  return randomInt(lowestTokenEpoch, lowestTokenEpoch + tokenEpochs);
}
