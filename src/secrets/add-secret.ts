import { randomUUID } from 'node:crypto';
import { issueSecret } from '../credentials/issue-secret.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Secret } from '../credentials/secret.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import type { SecretOwner } from './secret-owner.ts';
import { insertSecret } from './secret-store.ts';

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
