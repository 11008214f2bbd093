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
  const id = randomUUID();
  const keepSealed = deps.reveal && owner.reveal;
  const { plaintext, sealed, ...verifier } = issueSecret(
    deps.keyRing,
    owner.prefix,
    owner.pepper,
    keepSealed ? { table: 'secrets', id } : null,
  );
  const secret: Secret = {
    id,
    clientId: owner.clientId,
    generation,
    ...verifier,
    createdAt: new Date(deps.clock()),
    retiresAt: null,
    endedAs: null,
  };
  await insertSecret(transaction, owner, { ...secret, sealed });
  return { secret, plaintext };
}
