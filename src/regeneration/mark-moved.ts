import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { Conflict, NotFound } from '../errors.ts';
import type { SecretDeps } from '../secrets/manage-secrets.ts';
import type { SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { nameOfSource, presentPlace, type SourceName } from '../usage/usage-source.ts';
import { requireOverlapping } from './end-regeneration.ts';
import { isOneCaller } from './judge-sources.ts';
import { followProgress } from './regeneration-progress.ts';
import { type Regeneration, saveMarkedSources } from './regeneration-store.ts';

/**
 * Marks a source of the previous credential of a locked owner as moved, because the operator knows that it has moved or
 * does not come back. The mark counts until the source uses the previous credential again.
 * @throws {NotFound} if no source of the previous credential has this name.
 * @throws {Conflict} `several_callers` if the source stands for callers that cannot be told apart, or as
 * `requireOverlapping`.
 */
export async function markMoved(
  transaction: Transaction,
  deps: SecretDeps & { ttlSeconds: number },
  actor: Actor,
  owner: SecretOwner,
  id: string,
  source: SourceName,
): Promise<Regeneration> {
  const { at, regeneration, found, others } = await findSource(transaction, deps, owner, id, source);
  if (!isOneCaller(found)) {
    throw new Conflict(
      'several_callers',
      'This source stands for several callers that cannot be told apart, so it cannot be marked as moved. End the grace period by hand when you know that all of them have moved.',
    );
  }
  const { address, userAgent, instance } = found;
  const markedSources = [...others, { address, userAgent, instance, at, by: actor.name }];
  await saveMarkedSources(transaction, id, markedSources);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.mark_moved`,
    targetType: owner.targetType,
    target: owner.target,
    before: { reason: found.reason, last_used_at: found.lastUsedAt },
    after: { regeneration_id: id, ...presentPlace(found), reason: 'marked_as_moved' },
  });
  return { ...regeneration, markedSources };
}

/**
 * Withdraws the mark of a source, which then counts as moved by the evidence alone.
 * @throws {NotFound} if no source of the previous credential has this name.
 * @throws {Conflict} `not_marked`, or as `requireOverlapping`.
 */
export async function unmarkMoved(
  transaction: Transaction,
  deps: SecretDeps & { ttlSeconds: number },
  actor: Actor,
  owner: SecretOwner,
  id: string,
  source: SourceName,
): Promise<Regeneration> {
  const { at, regeneration, found, others } = await findSource(transaction, deps, owner, id, source);
  const { mark } = found;
  if (!mark) throw new Conflict('not_marked', 'This source is not marked as moved.');
  await saveMarkedSources(transaction, id, others);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.unmark_moved`,
    targetType: owner.targetType,
    target: owner.target,
    before: { reason: found.reason, marked_at: mark.at },
    after: { regeneration_id: id, ...presentPlace(found) },
  });
  return { ...regeneration, markedSources: others };
}

/** Finds a source of the previous credential in a running grace period, and the marks of all other sources. */
async function findSource(
  transaction: Transaction,
  deps: SecretDeps & { ttlSeconds: number },
  owner: SecretOwner,
  id: string,
  source: SourceName,
) {
  const at = new Date(deps.clock());
  const regeneration = await requireOverlapping(transaction, owner, id, at);
  const [progress] = await followProgress(transaction, deps, owner, [regeneration]);
  const name = nameOfSource(source);
  const known = [...(progress?.stillUsingOld ?? []), ...(progress?.moved ?? [])];
  const found = known.find((each) => nameOfSource(each) === name);
  if (!found) throw new NotFound('source of the previous credential');
  return { at, regeneration, found, others: regeneration.markedSources.filter((each) => nameOfSource(each) !== name) };
}
