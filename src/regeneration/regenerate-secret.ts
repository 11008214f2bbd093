import { randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { generateClientId } from '../credentials/credential-format.ts';
import { isLive, type Secret } from '../credentials/secret.ts';
import { Conflict } from '../errors.ts';
import type { Transaction } from '../storage/database.ts';
import { addSecret, type SecretDeps } from './add-secret.ts';
import { endSecret } from './end-secret.ts';
import { currentOf, retiringOf } from './regeneration.ts';
import { insertRegeneration } from './regeneration-store.ts';
import { requireConfirmation } from './review.ts';
import type { SecretOwner } from './secret-owner.ts';
import { findSecrets, saveSecretEnd } from './secret-store.ts';

export type RegenerateRequest = {
  /** From a review; it says that whoever regenerates has seen what that would break. */
  confirmation: string | undefined;
  /** How long the old secret stays good beside the new one. */
  overlapSeconds?: number | undefined;
  /** End the overlap early, once every source of the old secret has been seen with the new one. */
  finishWhenUnused?: boolean | undefined;
  /** A new Client ID too. The old one keeps answering, with the old secret, through the overlap. */
  newClientId?: boolean | undefined;
  /** For a leak: every live token dies and the old secret ends now, whatever the overlap says. */
  revokeTokens?: boolean | undefined;
};

/** The plaintext is in here and nowhere else. */
export type RegeneratedSecret = {
  regenerationId: string;
  secret: Secret;
  plaintext: string;
  previous: { clientId: string | null; retiresAt: Date };
};

const defaultOverlapSeconds = 86_400;

/**
 * Turns the key of a locked owner: stores a new secret, dates the old one's end, and, where an overlap was running already, ends the
 * older of the two: no owner ever has more than two live secrets.
 * @throws {KeyturnError} 428 `confirmation_required` with a new review, when the confirmation is not for the state of now.
 */
export async function regenerateSecret(
  transaction: Transaction,
  deps: SecretDeps,
  actor: Actor,
  owner: SecretOwner,
  request: RegenerateRequest,
): Promise<RegeneratedSecret> {
  const now = deps.clock();
  const at = new Date(now);
  const secrets = await findSecrets(transaction, owner);
  const current = currentOf(secrets);
  if (!current) throw new Conflict('no_secret', 'There is no secret to regenerate.');
  await requireConfirmation(transaction, deps, owner, secrets, request.confirmation);

  const retiring = retiringOf(secrets, now);
  if (retiring) await endSecret(transaction, retiring, at, actor);
  const clientId = request.newClientId ? generateClientId() : owner.clientId;
  await owner.save(
    transaction,
    { clientId: clientId ?? undefined, tokens: request.revokeTokens ? 'revoke' : undefined },
    at,
  );
  const generation = Math.max(...secrets.map((secret) => secret.generation)) + 1;
  const { secret, plaintext } = await addSecret(transaction, deps, { ...owner, clientId }, generation);
  const regenerationId = randomUUID();
  await insertRegeneration(transaction, owner, {
    id: regenerationId,
    oldSecret: current,
    newSecret: secret,
    finishWhenUnused: request.finishWhenUnused ?? false,
    revokeTokens: request.revokeTokens ?? false,
    createdAt: at,
    createdBy: actor.name,
  });
  const retiresAt = await retire(transaction, actor, current, now, request);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: `${owner.targetType}.regenerate`,
    targetType: owner.targetType,
    target: owner.target,
    before: auditView(current),
    after: {
      ...auditView(secret),
      regeneration_id: regenerationId,
      previous_retires_at: retiresAt,
      finish_when_unused: request.finishWhenUnused ?? false,
      revoke_tokens: request.revokeTokens ?? false,
    },
  });
  return { regenerationId, secret, plaintext, previous: { clientId: current.clientId, retiresAt } };
}

/** Dates the old secret's end. What has ended already, for example because it leaked, stays so. */
async function retire(
  transaction: Transaction,
  actor: Actor,
  current: Secret,
  now: number,
  request: RegenerateRequest,
): Promise<Date> {
  if (!isLive(current, now)) return current.retiresAt ?? new Date(now);
  const overlapSeconds = request.revokeTokens ? 0 : (request.overlapSeconds ?? defaultOverlapSeconds);
  const retiresAt = new Date(now + overlapSeconds * 1_000);
  if (overlapSeconds === 0) await endSecret(transaction, current, retiresAt, actor);
  else await saveSecretEnd(transaction, { id: current.id, retiresAt, endedAs: null });
  return retiresAt;
}

function auditView({ clientId, generation, hint }: Secret): Record<string, unknown> {
  return { ...(clientId === null ? {} : { client_id: clientId }), generation, hint };
}
