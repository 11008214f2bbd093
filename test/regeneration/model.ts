import type { Proof } from './proof.ts';

/** Expected credentials, tokens and regenerations of a client, implemented a second time as simply as possible. */
export type Model = {
  now: number;
  enabled: boolean;
  epoch: number;
  /** Increases with every change. */
  changes: number;
  id: string;
  secrets: ModelSecret[];
  regenerations: { id: string; old: ModelSecret; new: ModelSecret; ended: boolean }[];
  tokens: { value: string; from: ModelSecret; epoch: number; endsAt: number }[];
  /** @property next what the review was made for. */
  confirmation: { value: string; seen: string; next: Proof | 'secret'; endsAt: number } | undefined;
};

export type ModelSecret = {
  id: string;
  proof: Proof;
  retiresAt: number;
  dead: boolean;
  undone: boolean;
  usedAt: number;
};

const never = Number.POSITIVE_INFINITY;
export const tokenMs = 3_600_000;

export function newModel(now: number, first: { id: string; proof: Proof }): Model {
  return {
    now,
    enabled: true,
    epoch: 0,
    changes: 0,
    id: first.id,
    secrets: [newSecret(first)],
    regenerations: [],
    tokens: [],
    confirmation: undefined,
  };
}

function newSecret(credentials: { id: string; proof: Proof }): ModelSecret {
  return { ...credentials, retiresAt: never, dead: false, undone: false, usedAt: -never };
}

export function isLive(model: Model, secret: ModelSecret): boolean {
  return !secret.dead && model.now < secret.retiresAt;
}

export function current(model: Model): ModelSecret {
  return model.secrets.findLast((secret) => !secret.undone) as ModelSecret;
}

function live(model: Model): ModelSecret[] {
  return model.secrets.filter((secret) => isLive(model, secret));
}

/** Returns the part of a review that must not change until the regeneration. */
export function seen(model: Model): string {
  const shown = [...new Set([current(model), ...live(model)])];
  const users = shown.filter((secret) => model.now - secret.usedAt < 30 * 86_400_000);
  return JSON.stringify([
    model.changes,
    live(model).map((secret) => model.secrets.indexOf(secret)),
    users.map((secret) => model.secrets.indexOf(secret)).sort(),
  ]);
}

export function mayRegenerate(model: Model, next: Proof | 'secret'): boolean {
  const { confirmation } = model;
  return (
    confirmation !== undefined &&
    model.now < confirmation.endsAt &&
    confirmation.seen === seen(model) &&
    confirmation.next === next
  );
}

export function regenerate(
  model: Model,
  made: { regenerationId: string; id: string; proof: Proof },
  { overlapMs, revokeTokens }: { overlapMs: number; revokeTokens: boolean },
): void {
  const old = current(model);
  for (const secret of live(model)) if (secret !== old) kill(model, secret);
  old.retiresAt = revokeTokens ? model.now : model.now + overlapMs;
  const next = newSecret(made);
  model.secrets.push(next);
  model.regenerations.push({ id: made.regenerationId, old, new: next, ended: false });
  if (revokeTokens) model.epoch += 1;
  model.id = made.id;
  model.changes += 1;
}

/** Undoes a regeneration. Returns whether that was still possible. */
export function undo(model: Model, index: number): boolean {
  const regeneration = model.regenerations[index];
  if (!regeneration || regeneration.ended || !isLive(model, regeneration.old)) return false;
  regeneration.ended = true;
  regeneration.old.retiresAt = never;
  Object.assign(regeneration.new, { dead: true, undone: true });
  model.id = regeneration.old.id;
  model.changes += 1;
  return true;
}

/** Finishes a regeneration. Returns whether that was still possible. */
export function finish(model: Model, index: number): boolean {
  const regeneration = model.regenerations[index];
  if (!regeneration || regeneration.ended || !isLive(model, regeneration.old)) return false;
  kill(model, regeneration.old);
  model.changes += 1;
  return true;
}

function kill(model: Model, secret: ModelSecret): void {
  secret.dead = true;
  for (const regeneration of model.regenerations) if (regeneration.old === secret) regeneration.ended = true;
}

export function enable(model: Model, enabled: boolean): void {
  if (model.enabled === enabled) return;
  model.enabled = enabled;
  if (!enabled) model.epoch += 1;
  model.changes += 1;
}

export function revoke(model: Model): void {
  model.epoch += 1;
  model.changes += 1;
}

export function tokenIsLive(model: Model, token: Model['tokens'][number]): boolean {
  return model.enabled && token.epoch === model.epoch && !token.from.undone && model.now < token.endsAt;
}
