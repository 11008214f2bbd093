import { createHash } from 'node:crypto';
import type { KeyRing } from '../credentials/key-ring.ts';
import { type KeyName, keysOfRegistration, type Registration } from '../credentials/registration.ts';
import { isKeyCredential, isLive, retiringOf, type Secret, shownHint } from '../credentials/secret.ts';
import { readSignedValue, signValue } from '../credentials/signed-value.ts';
import { KeyturnError } from '../errors.ts';
import { requireCurrent, type SecretDeps } from '../secrets/manage-secrets.ts';
import { findSecrets, type SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { type ClientKeyRecord, findClientKeys, keyGeneration, keyIdOf } from '../usage/client-key-store.ts';
import { countLiveTokens, findSources } from '../usage/usage-report.ts';
import { nameOfSource, presentPlace, type UsageSource } from '../usage/usage-source.ts';
import { type JudgedSource, judgeBeforeRotation, presentJudged } from './judge-sources.ts';
import { followProgress } from './regeneration-progress.ts';
import { findRegenerationOf } from './regeneration-store.ts';
import { findReviewWarnings } from './review-warnings.ts';

export type ReviewDeps = SecretDeps & { ttlSeconds: number };

const shownSources = 50;
const usedWithinMs = 30 * 24 * 3_600_000;

/**
 * Reviews the effects of replacing the credential of a locked owner.
 * @param replace how a client is to authenticate afterwards; undefined for a new secret.
 * @throws {Conflict} `no_secret`
 */
export async function reviewRegeneration(
  transaction: Transaction,
  deps: ReviewDeps,
  owner: SecretOwner,
  replace?: Registration,
): Promise<Review> {
  return (await review(transaction, deps, owner, await findSecrets(transaction, owner), replace)).review;
}

/**
 * Requires a confirmation of the owner's current state.
 * @param request the confirmation as the operator sent it, and what it must have been given for.
 * @throws {KeyturnError} 428 `confirmation_required` with a new review if it is missing or was issued for another
 * state.
 */
export async function requireConfirmation(
  transaction: Transaction,
  deps: ReviewDeps,
  owner: SecretOwner,
  secrets: readonly Secret[],
  {
    confirmation,
    replace,
    reason,
  }: { confirmation: string | undefined; replace?: Registration | undefined; reason?: string },
): Promise<void> {
  const fresh = await review(transaction, deps, owner, secrets, replace);
  if (confirmation !== undefined && confirms(deps.keyRing, confirmation, fresh.state, deps.clock())) return;
  const message =
    confirmation === undefined
      ? (reason ?? 'confirmation: required. Review the impact, and send the confirmation of that review.')
      : 'confirmation: the impact has changed since the review, or the review is older than ten minutes. Check the new review.';
  throw new KeyturnError('confirmation_required', 428, message, { extension: { review: presentReview(fresh.review) } });
}

async function review(
  transaction: Transaction,
  deps: ReviewDeps,
  owner: SecretOwner,
  secrets: readonly Secret[],
  replace: Registration | undefined,
): Promise<{ review: Review; state: unknown }> {
  const now = deps.clock();
  const current = requireCurrent(owner, secrets, { isReplaced: replace !== undefined }, now);
  const retiring = retiringOf(secrets, now);
  const shown = retiring ? [current, retiring] : [current];
  const sources = await findSources(transaction, owner.id, shown.map(generationOf), now);
  // Generation 0 stands for tokens that the owner obtained without any secret.
  const alive = [0, ...secrets.filter((secret) => secret.endedAs !== 'undone').map(generationOf)];
  const state = [...stateShown(owner, secrets, sources, now), ...(replace ? [replace] : [])];
  return {
    state,
    review: {
      confirmation: issueConfirmation(deps.keyRing, state, now),
      expiresInSeconds: confirmationSeconds,
      impact: {
        ...judgeUse(useOf(current, sources, now), await judgeBeforeRotation(transaction, deps, sources)),
        keys: isKeyCredential(current) ? await reviewKeys(transaction, owner, current, replace, now) : [],
        awaitsFirstUse: current.hash !== null,
        warnings: await findReviewWarnings(transaction, owner, replace, now),
        liveTokens: await countLiveTokens(transaction, owner, alive, now),
        retiringSecret: retiring
          ? {
              clientId: retiring.clientId,
              hint: shownHint(retiring),
              retiresAt: retiring.retiresAt ?? new Date(now),
              ...judgeUse(
                useOf(retiring, sources, now),
                await judgeRetiring(transaction, deps, owner, retiring, sources),
              ),
            }
          : null,
      },
    },
  };
}

/** Judges the sources of the previous secret of a running grace period. */
async function judgeRetiring(
  transaction: Transaction,
  deps: ReviewDeps,
  owner: SecretOwner,
  retiring: Secret,
  sources: readonly UsageSource[],
): Promise<JudgedSource[]> {
  const regeneration = await findRegenerationOf(transaction, retiring.id);
  if (!regeneration) return await judgeBeforeRotation(transaction, deps, sources);
  const progress = await followProgress(transaction, deps, owner, [regeneration]);
  return progress.flatMap(({ moved, stillUsingOld }) => [...stillUsingOld, ...moved]);
}

/** Adds to each listed source whether it has moved, and why. @param judged sources of the same secret, or more. */
function judgeUse(use: SecretUse, judged: readonly JudgedSource[]): SecretUse<JudgedSource> {
  const byName = new Map(judged.map((source) => [`${source.generation} ${nameOfSource(source)}`, source]));
  const verdictOf = (source: UsageSource) => byName.get(`${source.generation} ${nameOfSource(source)}`) ?? [];
  return { ...use, usedBy: use.usedBy.flatMap(verdictOf) };
}

const shownKeys = 20;

/** Returns who uses which key or certificate of the current credential, and whether the key ends with it. */
async function reviewKeys(
  transaction: Transaction,
  { id, registration }: SecretOwner,
  current: Secret,
  replace: Registration | undefined,
  now: number,
): Promise<Review['impact']['keys']> {
  if (!registration) return [];
  const registered = keysOfRegistration(registration);
  const records = (await findClientKeys(transaction, [id])).get(id) ?? [];
  const isRegistered = new Set(registered.map(({ thumbprint }) => thumbprint));
  const { jwksUri } = registration;
  const isPublished = (record: ClientKeyRecord) =>
    jwksUri !== null && record.jwksUri === jwksUri && record.leftAt === null;
  const used = records.filter(
    (record) =>
      !isRegistered.has(record.thumbprint) && (record.generation === current.generation || isPublished(record)),
  );
  const stays = new Set(
    replace?.authMethod === registration.authMethod
      ? keysOfRegistration(replace).map(({ thumbprint }) => thumbprint)
      : [],
  );
  const reviewed: Review['impact']['keys'] = [];
  for (const { kind, kid, thumbprint } of [...registered, ...used].slice(0, shownKeys)) {
    const sources = await findSources(transaction, keyIdOf(id, { thumbprint }), [keyGeneration], now);
    reviewed.push({
      kind,
      kid,
      thumbprint,
      ends: !stays.has(thumbprint),
      ...useOf({ generation: keyGeneration }, sources, now),
    });
  }
  return reviewed;
}

/**
 * Returns the state that a confirmation is valid for: the owner (its revision increases with every change), its secrets
 * and whether each is live, and the sources that use them. An owner can have very many sources and gain new ones
 * constantly, so if there are more than a review shows, they are not compared.
 */
function stateShown(
  owner: SecretOwner,
  secrets: readonly Secret[],
  sources: readonly UsageSource[],
  now: number,
): unknown[] {
  const recent = sources.filter((source) => isRecent(source, now));
  const names = recent.map((source) => `${source.generation} ${nameOfSource(source)}`).sort();
  return [
    [owner.kind, owner.id, owner.revision, owner.enabled],
    secrets.map((secret) => [secret.id, secret.retiresAt, secret.endedAs, isLive(secret, now)]),
    names.length > shownSources ? 'many' : names,
  ];
}

function useOf(secret: Pick<Secret, 'generation'>, all: readonly UsageSource[], now: number): SecretUse {
  const sources = all.filter(({ generation }) => generation === secret.generation);
  const recent = sources.filter((source) => isRecent(source, now));
  recent.sort((a, b) => Number(b.lastUsedAt) - Number(a.lastUsedAt));
  const last = Math.max(0, ...sources.map(({ lastUsedAt }) => lastUsedAt?.getTime() ?? 0));
  return {
    lastUsedAt: last === 0 ? null : new Date(last),
    usedBy: recent.slice(0, shownSources),
    usedByOthers: Math.max(0, recent.length - shownSources),
    tokens24h: sources.reduce((sum, { issued24h }) => sum + issued24h, 0),
  };
}

function isRecent({ lastUsedAt }: UsageSource, now: number): boolean {
  return lastUsedAt !== null && now - lastUsedAt.getTime() < usedWithinMs;
}

function generationOf({ generation }: Secret): number {
  return generation;
}

/** Lifetime of a review's confirmation, in seconds. */
export const confirmationSeconds = 600;

/**
 * Issues the confirmation of a review, which regenerating requires: an HMAC over the reviewed state and the time at
 * which it expires. Nothing is stored, so any process can check it.
 * @param state everything that must not have changed in between, including the owner.
 */
export function issueConfirmation(ring: KeyRing, state: unknown, now: number): string {
  const endsAt = Math.floor(now / 1_000) + confirmationSeconds;
  return signValue(ring, 'confirmation', digestOf(state), String(endsAt));
}

/** Returns whether the confirmation was issued for exactly this state and has not expired. */
export function confirms(ring: KeyRing, confirmation: string, state: unknown, now: number): boolean {
  const endsAt = readSignedValue(ring, 'confirmation', digestOf(state), confirmation);
  return endsAt !== undefined && Number(endsAt) * 1_000 > now;
}

function digestOf(state: unknown): string {
  return createHash('sha256').update(JSON.stringify(state)).digest('hex');
}

/** Effects of regenerating a secret, in numbers and names, and the confirmation that they were reviewed. */
type Review = {
  confirmation: string;
  expiresInSeconds: number;
  impact: SecretUse<JudgedSource> & {
    /** Keys or certificates of the current credential. @property ends whether it is rejected after the grace period. */
    keys: (SecretUse & KeyName & { ends: boolean })[];
    /** Whether only a hash of the current secret is known, because it was imported and has not been used yet. */
    awaitsFirstUse: boolean;
    /** What is weaker after the rotation, as sentences. */
    warnings: string[];
    liveTokens: number;
    /** Previous secret of a running grace period, which regenerating ends at once; null if there is none. */
    retiringSecret: (SecretUse<JudgedSource> & { clientId: string | null; hint: string; retiresAt: Date }) | null;
  };
};

type SecretUse<S = UsageSource> = {
  lastUsedAt: Date | null;
  /** Sources of the last 30 days, latest first, at most 50. */
  usedBy: S[];
  /** Number of further sources in the last 30 days. */
  usedByOthers: number;
  tokens24h: number;
};

/**
 * Returns a review in its wire format. It is not defined with the routes, because the error that requires a review
 * contains it.
 */
export function presentReview({ confirmation, expiresInSeconds, impact }: Review): Record<string, unknown> {
  const { retiringSecret } = impact;
  return {
    confirmation,
    expires_in: expiresInSeconds,
    impact: {
      ...presentUse(impact, presentJudged),
      keys: impact.keys.map(({ kind, kid, thumbprint, ends, ...use }) => ({
        type: kind,
        kid,
        thumbprint,
        ends,
        ...presentUse(use, presentUser),
      })),
      awaits_first_use: impact.awaitsFirstUse,
      warnings: impact.warnings,
      live_tokens: impact.liveTokens,
      retiring_secret: retiringSecret && {
        ...(retiringSecret.clientId === null ? {} : { client_id: retiringSecret.clientId }),
        hint: retiringSecret.hint,
        retires_at: retiringSecret.retiresAt,
        ...presentUse(retiringSecret, presentJudged),
      },
    },
  };
}

function presentUse<S extends UsageSource>(use: SecretUse<S>, present: (source: S) => object) {
  return {
    last_used_at: use.lastUsedAt,
    used_by: use.usedBy.map(present),
    used_by_others: use.usedByOthers,
    tokens_24h: use.tokens24h,
  };
}

function presentUser({ lastUsedAt, issued24h, ...source }: UsageSource) {
  return { ...presentPlace(source), last_seen_at: lastUsedAt, tokens_24h: issued24h };
}
