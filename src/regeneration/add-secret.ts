import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { issueSecret } from '../credentials/issue-secret.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Secret } from '../credentials/secret.ts';
import type { Transaction } from '../storage/database.ts';
import type { SecretOwner } from './secret-owner.ts';
import { insertSecret } from './secret-store.ts';

/** What a secret is made with. */
export type SecretDeps = {
  keyRing: KeyRing;
  clock: Clock;
  /** False: no sealed copies are kept anywhere in this deployment. */
  reveal: boolean;
};

/** Makes and stores one more secret of an owner. The plaintext is in the result and nowhere else. */
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

/** The same, to be stored by the caller. @param given the plaintext, where it is not to be made. */
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
