import { randomUUID } from 'node:crypto';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { unseal } from '../credentials/sealed-copy.ts';
import { isLive, issueSecret, type Secret } from '../credentials/secret.ts';
import { Conflict } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import { findSealedSecret, findSecrets, insertSecret, type SecretOwner } from './secret-store.ts';

/** Dependencies for creating a secret. */
export type SecretDeps = {
  keyRing: KeyRing;
  clock: Clock;
  /** False if this deployment keeps no sealed copies at all. */
  reveal: boolean;
};

/** Creates and stores another secret of an owner. Only the result contains the plaintext. */
export async function addSecret(
  transaction: Transaction,
  deps: SecretDeps,
  owner: SecretOwner,
  generation: number,
): Promise<{ secret: Secret; plaintext: string }> {
  const { plaintext, ...secret } = makeSecret(deps, owner, generation);
  await insertSecret(transaction, owner, secret);
  const { sealed: _sealed, ...stored } = secret;
  return { secret: stored, plaintext };
}

/** Creates a secret that the caller stores. @param given the plaintext of an imported secret. */
export function makeSecret(
  deps: SecretDeps,
  owner: SecretOwner,
  generation: number,
  given?: string,
): Secret & { sealed: string | null; plaintext: string } {
  const id = randomUUID();
  const keepSealed = deps.reveal && owner.reveal;
  const place = keepSealed ? { table: 'secrets', id } : null;
  return {
    id,
    clientId: owner.clientId,
    generation,
    ...issueSecret(deps.keyRing, owner.prefix, owner.pepper, place, given),
    createdAt: new Date(deps.clock()),
    retiresAt: null,
    endedAs: null,
  };
}

/** Opens the sealed copy of an owner's current secret. The audit event is committed before the secret is shown. */
export async function revealSecret(
  transaction: Transaction,
  deps: SecretDeps,
  actor: Actor,
  owner: SecretOwner,
): Promise<string> {
  const at = new Date(deps.clock());
  const current = (await findSecrets(transaction, owner)).find((secret) => isLive(secret, at.getTime()));
  const sealed = current && (await findSealedSecret(transaction, current.id));
  if (!current || !sealed || !deps.reveal) {
    throw new Conflict('not_revealable', 'This secret has no sealed copy, so it cannot be shown again.');
  }
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: owner.kind === 'client' ? 'client.reveal_secret' : 'access_key.reveal',
    targetType: owner.targetType,
    target: owner.target,
    after: { hint: current.hint },
  });
  return unseal(deps.keyRing, { table: 'secrets', id: current.id }, sealed);
}
