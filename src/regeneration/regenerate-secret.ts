import { randomInt, randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { generateClientId } from '../credentials/credential-format.ts';
import { isOfSecret, type Registration, storeRegistration } from '../credentials/registration.ts';
import { isLive, retiringOf, type Secret } from '../credentials/secret.ts';
import { requireSecretsAllowed } from '../policies/require-policies.ts';
import { addSecret, makeKeyCredential, requireCurrent, type SecretDeps } from '../secrets/manage-secrets.ts';
import {
  findSecrets,
  insertSecret,
  type SecretOwner,
  saveRegistration,
  saveSecretEnd,
} from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';
import { endSecret, insertRegeneration } from './regeneration-store.ts';
import { type ReviewDeps, requireConfirmation } from './review.ts';

export type RegenerateRequest = {
  /**
   * Confirmation from a review, which proves that the caller has seen the effects of regenerating. Not needed if
   * `isConfirmed`.
   */
  confirmation: string | undefined;
  /** Whether the client itself rotates, or an operator has confirmed the review before. */
  isConfirmed?: boolean;
  /** Length of the grace period in seconds. */
  overlapSeconds?: number | undefined;
  /** End the grace period early, as soon as every source of the previous secret has moved. */
  finishWhenUnused?: boolean | undefined;
  /** Also create a new Client ID. The previous one keeps working with the previous secret during the grace period. */
  newClientId?: boolean | undefined;
  /**
   * How the client authenticates from now on: with other keys, another certificate, or in another way. Undefined for a
   * new secret in place of the current one.
   */
  replace?: Registration | undefined;
  /** After a leak: revoke every live token and end the previous secret now, without a grace period. */
  revokeTokens?: boolean | undefined;
};

/** Result of a rotation. Only this value contains the plaintext. */
export type RegeneratedSecret = {
  regenerationId: string;
  secret: Secret;
  /** Undefined if the new credential is not a secret. */
  plaintext: string | undefined;
  previous: { clientId: string | null; retiresAt: Date };
};

const defaultOverlapSeconds = 86_400;

/**
 * Rotates the credential of a locked owner: stores a new secret, or the keys or certificate that were given, and sets
 * the end of the previous credential. If a grace period is running, the older of its two credentials ends, because an
 * owner never has more than two that are live.
 * @throws {KeyturnError} 428 `confirmation_required` with a new review if the confirmation does not match the current
 * state.
 */
export async function regenerateSecret(
  transaction: Transaction,
  deps: ReviewDeps,
  actor: Actor,
  owner: SecretOwner,
  request: RegenerateRequest,
): Promise<RegeneratedSecret> {
  const now = deps.clock();
  const at = new Date(now);
  const secrets = await findSecrets(transaction, owner);
  const { replace } = request;
  const current = requireCurrent(owner, secrets, { isReplaced: replace !== undefined }, now);
  if (replace && isOfSecret(replace) && owner.registration && !isOfSecret(owner.registration)) {
    await requireSecretsAllowed(transaction, owner.organizationId);
  }
  if (!request.isConfirmed) await requireConfirmation(transaction, deps, owner, secrets, request);

  if (!secrets.some(({ id }) => id === current.id)) {
    await insertSecret(transaction, owner, { ...current, sealed: null });
  }
  const retiring = retiringOf(secrets, now);
  const endedRegenerationId = retiring && (await endSecret(transaction, retiring, at, actor));
  const clientId = request.newClientId ? generateClientId() : owner.clientId;
  await owner.save(
    transaction,
    {
      clientId: clientId ?? undefined,
      registration: replace,
      tokens: request.revokeTokens ? 'revoke' : undefined,
    },
    at,
  );
  // Undoing restores this registration, so it is recorded as it is now.
  if (replace && owner.registration) await saveRegistration(transaction, current, owner.registration);
  const { secret, plaintext } = await addCredential(
    transaction,
    deps,
    { ...owner, clientId },
    nextGeneration([current, ...secrets]),
    replace,
  );
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
      ...(endedRegenerationId === undefined ? {} : { ended_regeneration_id: endedRegenerationId }),
    },
  });
  return { regenerationId, secret, plaintext, previous: { clientId: current.clientId, retiresAt } };
}

async function addCredential(
  transaction: Transaction,
  deps: SecretDeps,
  owner: SecretOwner,
  generation: number,
  registration: Registration | undefined,
): Promise<{ secret: Secret; plaintext: string | undefined }> {
  if (!registration || isOfSecret(registration)) {
    return await addSecret(transaction, deps, owner, generation, registration);
  }
  const secret = makeKeyCredential(deps, owner, generation, registration);
  await insertSecret(transaction, owner, { ...secret, sealed: null });
  return { secret, plaintext: undefined };
}

/** Sets the end of the previous secret. A secret that has already ended, for example because it leaked, stays ended. */
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

function auditView({ clientId, generation, hint, registration }: Secret): Record<string, unknown> {
  return {
    ...(clientId === null ? {} : { client_id: clientId }),
    generation,
    hint,
    ...(registration ? storeRegistration(registration) : {}),
  };
}

/**
 * Returns a generation above all of these. It is random, because a promotion of the database can lose commits. If the
 * number of a lost secret were used again, the tokens of the new secret would include those of the lost one.
 */
function nextGeneration(secrets: readonly Pick<Secret, 'generation'>[]): number {
  const latest = Math.max(...secrets.map((secret) => secret.generation));
  // Use a small part of the remaining range of PostgreSQL's `integer`, so that it does not run out.
  return latest + randomInt(1, Math.max(2, Math.floor((2 ** 31 - 1 - latest) / 2_048)));
}
