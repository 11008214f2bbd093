import { isLive, type Secret } from '../credentials/secret.ts';

/** One turn of a key: an old secret, and the new one that takes its place. */
export type Regeneration = {
  id: string;
  oldSecret: TurnedSecret;
  newSecret: TurnedSecret;
  finishWhenUnused: boolean;
  revokeTokens: boolean;
  createdAt: Date;
  createdBy: string;
  /** When, how and by whom it was ended before the old secret's date; null: it was not. */
  ended: { at: Date; as: 'finished' | 'undone'; by: string } | null;
};

export type TurnedSecret = Pick<Secret, 'id' | 'clientId' | 'generation' | 'hint' | 'retiresAt' | 'endedAs'>;

export type RegenerationState = 'overlapping' | 'finished' | 'undone';

export function stateOf({ ended, oldSecret }: Regeneration, now: number): RegenerationState {
  if (ended) return ended.as;
  return isLive(oldSecret, now) ? 'overlapping' : 'finished';
}

/** The secret that is regenerated next: the newest that was not undone. @param secrets newest first. */
export function currentOf(secrets: readonly Secret[]): Secret | undefined {
  return secrets.find((secret) => secret.endedAs !== 'undone');
}

/** The one that an overlap still lets in beside the current one. @param secrets newest first. */
export function retiringOf(secrets: readonly Secret[], now: number): Secret | undefined {
  const current = currentOf(secrets);
  return secrets.find((secret) => secret !== current && isLive(secret, now));
}
