import { isLive, type Secret } from '../credentials/secret.ts';

/** One rotation: a previous secret, and the one that replaced it. */
export type Regeneration = {
  id: string;
  oldSecret: TurnedSecret;
  newSecret: TurnedSecret;
  finishWhenUnused: boolean;
  revokeTokens: boolean;
  createdAt: Date;
  createdBy: string;
  /** Early end of the grace period: when, how and by whom. Null if it was not ended early. */
  ended: { at: Date; as: 'finished' | 'undone'; by: string } | null;
};

export type TurnedSecret = Pick<Secret, 'id' | 'clientId' | 'generation' | 'hint' | 'retiresAt' | 'endedAs'>;

export type RegenerationState = 'overlapping' | 'finished' | 'undone';

export function stateOf({ ended, oldSecret }: Regeneration, now: number): RegenerationState {
  if (ended) return ended.as;
  return isLive(oldSecret, now) ? 'overlapping' : 'finished';
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
