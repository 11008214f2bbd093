import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { currentOf, isKeyCredential, retiringOf } from '../credentials/secret.ts';
import { type RegeneratedSecret, regenerateSecret } from '../regeneration/regenerate-secret.ts';
import type { ReviewDeps } from '../regeneration/review.ts';
import { findSecrets, type OwnerRef, type SecretOwner } from '../secrets/secret-store.ts';
import type { Queryable, Transaction } from '../storage/database.ts';
import { digestOfLink, hasValidCode, isRightCode } from './handover-code.ts';
import {
  findHandoverByLink,
  type Handover,
  type handoverStates,
  lockHandover,
  type NamedHandover,
  saveHandoverEnd,
  saveWrongCodes,
  stateOfHandover,
} from './handover-store.ts';

/** Locks the owner. Returns undefined if it was deleted. */
type LockOwner = { lockOwner(transaction: Transaction, owner: OwnerRef): Promise<SecretOwner | undefined> };

type Deps = ReviewDeps & LockOwner;

/** How often a wrong code may be entered before the link ends. */
const maxWrongCodes = 5;

/** Who opens the link: a contact that is signed in to the portal, or somebody with a code. */
export type Proof = { contactId: string } | { code: string };

export type OpenedFrom = { address: string; userAgent: string };

export type Opening =
  | { as: 'shown'; handover: Handover; owner: SecretOwner; regenerated: RegeneratedSecret }
  | { as: 'wrong_code'; left: number }
  /** Nothing was changed, and the link can be opened later. */
  | { as: 'no_code' | 'disabled' | 'rotation_in_progress' }
  | { as: 'ended'; state: Exclude<(typeof handoverStates)[number], 'open'>; handover: Handover | undefined };

/** A link as its page shows it before it is opened. */
export type ShownLink = NamedHandover;

/** Finds what a link is for, without opening it. */
export async function findLink(database: Queryable, link: string): Promise<ShownLink | undefined> {
  return await findHandoverByLink(database, digestOfLink(link));
}

/**
 * Opens a link: rotates the secret, and returns the new one once. A wrong code is counted, and the link ends with the
 * last one that is allowed. The transaction must be committed for every result.
 */
export async function openHandover(
  transaction: Transaction,
  deps: Deps,
  link: string,
  proof: Proof,
  from: OpenedFrom,
): Promise<Opening> {
  const now = deps.clock();
  const at = new Date(now);
  const locked = await lockLink(transaction, deps, link);
  if (!locked) return { as: 'ended', state: 'withdrawn', handover: undefined };
  const { handover, owner } = locked;
  const state = stateOfHandover(handover, now);
  if (state !== 'open') return { as: 'ended', state, handover };
  const actor: Actor = { id: handover.contactId ?? handover.email, name: handover.email, address: from.address };
  if ('code' in proof && !hasValidCode(handover, now)) return { as: 'no_code' };
  const isProved = 'code' in proof ? isRightCode(handover, link, proof.code) : proof.contactId === handover.contactId;
  if (!isProved) return await countWrongCode(transaction, actor, owner, handover, at);

  const secrets = await findSecrets(transaction, owner);
  const current = currentOf(secrets);
  if (!current || current.id !== handover.secretId || isKeyCredential(current)) {
    await saveHandoverEnd(transaction, handover.id, { at, as: 'replaced', by: 'Keyturn' });
    return { as: 'ended', state: 'replaced', handover };
  }
  if (!owner.enabled) return { as: 'disabled' };
  if (retiringOf(secrets, now)) return { as: 'rotation_in_progress' };
  const regenerated = await regenerateSecret(transaction, deps, actor, owner, {
    confirmation: undefined,
    isConfirmed: true,
    overlapSeconds: secondsLeft(handover, now),
    finishWhenUnused: handover.finishWhenUnused,
  });
  const opened = { regenerationId: regenerated.regenerationId, ...from };
  const ended = { at, as: 'opened', by: actor.name } as const;
  await saveHandoverEnd(transaction, handover.id, ended, opened);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.open_handover`,
    targetType: owner.targetType,
    target: owner.target,
    after: {
      handover_id: handover.id,
      regeneration_id: regenerated.regenerationId,
      proved_by: 'code' in proof ? 'code' : 'portal',
      user_agent: from.userAgent,
    },
  });
  return { as: 'shown', handover: { ...handover, ended, opened }, owner, regenerated };
}

/** Locks the owner of a link, then the link itself, in the order of all other changes. */
export async function lockLink(
  transaction: Transaction,
  deps: LockOwner,
  link: string,
): Promise<{ handover: Handover; owner: SecretOwner; ownerName: string } | undefined> {
  const found = await findHandoverByLink(transaction, digestOfLink(link));
  const owner = found && (await deps.lockOwner(transaction, found.owner));
  const handover = owner && (await lockHandover(transaction, found.id));
  return handover && { handover, owner, ownerName: found.ownerName };
}

async function countWrongCode(
  transaction: Transaction,
  actor: Actor,
  owner: SecretOwner,
  { id, wrongCodes }: Handover,
  at: Date,
): Promise<Opening> {
  const left = maxWrongCodes - wrongCodes - 1;
  await saveWrongCodes(transaction, { id, wrongCodes: wrongCodes + 1 });
  if (left === 0) await saveHandoverEnd(transaction, id, { at, as: 'too_many_codes', by: actor.name });
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.reject_handover_code`,
    targetType: owner.targetType,
    target: owner.target,
    after: { handover_id: id, attempts_left: left },
  });
  return { as: 'wrong_code', left };
}

/** Returns the length of the grace period in seconds, counted from now. */
function secondsLeft({ starts, createdAt, overlapSeconds }: Handover, now: number): number {
  if (starts === 'opened') return overlapSeconds;
  return Math.max(1, Math.round((createdAt.getTime() - now) / 1_000) + overlapSeconds);
}
