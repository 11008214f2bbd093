import type { Verifier } from './verifier.ts';

/** One secret of a client, or one value of an access key, as it is stored: nothing here can be presented. */
export type Secret = Verifier & {
  id: string;
  /** Of a client secret: the Client ID that it goes with, as pairs are not mixed. Of an access key: null. */
  clientId: string | null;
  /** 1, 2, …: what a token says of the secret that it was obtained with. */
  generation: number;
  hint: string;
  createdAt: Date;
  /** Null: current. In the future: retiring, and accepted until then. Past: ended. */
  retiresAt: Date | null;
  /** Ended by somebody and not by its date. Undone: the tokens that were obtained with it are dead too. */
  endedAs: 'finished' | 'undone' | null;
};

/**
 * Compared at every use, so an overlap ends at its date on every process, whether or not anything else runs then. What was ended
 * early is dead whatever a process's clock says.
 */
export function isLive(secret: Pick<Secret, 'retiresAt' | 'endedAs'>, now: number): boolean {
  if (secret.endedAs !== null) return false;
  return secret.retiresAt === null || now < secret.retiresAt.getTime();
}
