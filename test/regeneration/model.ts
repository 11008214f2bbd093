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
  regenerations: ModelRegeneration[];
  tokens: { value: string; from: ModelSecret; epoch: number; endsAt: number }[];
  /** @property next what the review was made for. */
  confirmation: { value: string; seen: string; next: Proof | 'secret'; endsAt: number } | undefined;
};

export type ModelRegeneration = {
  id: string;
  old: ModelSecret;
  new: ModelSecret;
  createdAt: number;
  finishWhenUnused: boolean;
  ended: boolean;
  /** When an operator marked an instance as moved. */
  marks: Map<Instance, number>;
};

/** Name that a program gives itself, or undefined for the program that gives none. */
export type Instance = string | undefined;

/**
 * First and last use of a secret by one instance, and the longest time between two of its uses.
 * @property minutes those in which it got a token, in the present epoch and in all.
 * @property held the most live tokens at a time, and when.
 */
type Uses = {
  first: number;
  last: number;
  gap: number;
  minutes: Set<number>;
  epoch: number;
  obtained: Set<number>;
  held: { count: number; at: number };
};

export type ModelSecret = {
  id: string;
  proof: Proof;
  retiresAt: number;
  dead: boolean;
  undone: boolean;
  uses: Map<Instance, Uses>;
};

const never = Number.POSITIVE_INFINITY;
export const tokenMs = 3_600_000;
const rememberedMs = 30 * 86_400_000;

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
  return { ...credentials, retiresAt: never, dead: false, undone: false, uses: new Map() };
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
  const users = shown.flatMap((secret) =>
    [...secret.uses]
      .filter(([, { last }]) => model.now - last < rememberedMs)
      .map(([instance]) => `${model.secrets.indexOf(secret)} ${instance}`),
  );
  return JSON.stringify([model.changes, live(model).map((secret) => model.secrets.indexOf(secret)), users.sort()]);
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
  {
    overlapMs,
    revokeTokens,
    finishWhenUnused,
  }: { overlapMs: number; revokeTokens: boolean; finishWhenUnused: boolean },
): void {
  const old = current(model);
  for (const secret of live(model)) if (secret !== old) kill(model, secret);
  old.retiresAt = revokeTokens ? model.now : model.now + overlapMs;
  const next = newSecret(made);
  model.secrets.push(next);
  model.regenerations.push({
    id: made.regenerationId,
    old,
    new: next,
    createdAt: model.now,
    finishWhenUnused,
    ended: false,
    marks: new Map(),
  });
  if (revokeTokens) model.epoch += 1;
  model.id = made.id;
  model.changes += 1;
}

/** Records a use of a secret now. */
export function use(model: Model, secret: ModelSecret, instance: Instance): void {
  const { now, epoch } = model;
  const uses = secret.uses.get(instance) ?? {
    first: now,
    last: now,
    gap: 0,
    minutes: new Set(),
    epoch,
    obtained: new Set(),
    held: { count: 0, at: now },
  };
  const minutes = new Set(uses.epoch === epoch ? uses.minutes : []).add(Math.floor(now / 60_000));
  const count = Math.min(60, [...minutes].filter((minute) => endOf(minute) > now).length);
  const keeps = uses.held.count > count && uses.held.at > now - rememberedMs;
  secret.uses.set(instance, {
    first: uses.first,
    last: now,
    gap: Math.max(uses.gap, now - uses.last),
    minutes,
    epoch,
    obtained: new Set(uses.obtained).add(Math.floor(now / 60_000)),
    held: keeps ? uses.held : { count, at: now },
  });
}

/** Returns when the tokens of a minute end, in whole minutes. */
function endOf(minute: number): number {
  return (minute + 1) * 60_000 + tokenMs;
}

/** Returns how long an instance must not use the previous secret: longer than a token lives, and than ever before. */
function silenceOf(model: Model, instance: Instance): number {
  let silence = tokenMs + 60_000;
  let lastOfEarlier = Number.NaN;
  const rows = model.secrets.flatMap((secret) => secret.uses.get(instance) ?? []);
  for (const { first, last, gap } of rows.sort((a, b) => a.first - b.first)) {
    silence = Math.max(silence, gap, first - lastOfEarlier || 0);
    lastOfEarlier = Number.isNaN(lastOfEarlier) ? last : Math.max(lastOfEarlier, last);
  }
  // Gaps are stored in whole seconds, rounded up.
  return Math.min(Math.ceil(silence / 1_000) * 1_000, rememberedMs);
}

/** Returns which instances have moved from the old secret of a regeneration to the new one, and which have not. */
export function progress(model: Model, { old, new: fresh, createdAt, marks }: ModelRegeneration) {
  const moved: Instance[] = [];
  const still: Instance[] = [];
  for (const [instance, { last, held }] of old.uses) {
    if (createdAt - last >= rememberedMs) continue;
    const isMarked = last <= (marks.get(instance) ?? -never);
    // An instance that held several tokens at a time may be several programs, so as many renewals are awaited.
    const isRenewed = (fresh.uses.get(instance)?.obtained.size ?? 0) >= held.count;
    const isSilent = model.now - last >= silenceOf(model, instance) * (isRenewed ? 1 : 2);
    (isMarked || (fresh.uses.has(instance) && isSilent) ? moved : still).push(instance);
  }
  return { moved, still };
}

/** Returns the regeneration whose grace period is running. */
export function running(model: Model): ModelRegeneration | undefined {
  return model.regenerations.find(({ ended, old }) => !ended && isLive(model, old));
}

/** Returns the running regeneration if all instances have moved, at least one uses the new secret, and that is to end it. */
export function unused(model: Model): ReturnType<typeof running> {
  const found = running(model);
  if (!found?.finishWhenUnused || found.new.uses.size === 0 || progress(model, found).still.length > 0)
    return undefined;
  // A mark ends the grace period after a minute at the earliest.
  const isFresh = [...found.old.uses].some(([instance, { last }]) => {
    const at = found.marks.get(instance) ?? -never;
    return last <= at && model.now - at < 60_000 && found.createdAt - last < rememberedMs;
  });
  return isFresh ? undefined : found;
}

/** Ends the grace period if it is unused. */
export function finishUnused(model: Model): void {
  const found = unused(model);
  if (found) finish(model, model.regenerations.indexOf(found));
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
