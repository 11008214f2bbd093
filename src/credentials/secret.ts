import type { Verifier } from './verifier.ts';

/** A client secret or access key value as it is stored. Nothing in it can be presented. */
export type Secret = Verifier & {
  id: string;
  /** The Client ID that this client secret belongs to, because pairs are not mixed. Null for an access key. */
  clientId: string | null;
  /** 1, 2, …: recorded in each token that was obtained with this secret. */
  generation: number;
  hint: string;
  createdAt: Date;
  /** Null: current. A future date: retiring, accepted until then. A past date: ended. */
  retiresAt: Date | null;
  /** Set if somebody ended the secret before its date. Tokens obtained with an undone secret are inactive too. */
  endedAs: 'finished' | 'undone' | null;
};

/**
 * Checks a secret at each use, so that a grace period ends at its date on every process without any job. A secret that
 * was ended early is rejected whatever the process's clock says.
 */
export function isLive(secret: Pick<Secret, 'retiresAt' | 'endedAs'>, now: number): boolean {
  if (secret.endedAs !== null) return false;
  return secret.retiresAt === null || now < secret.retiresAt.getTime();
}
