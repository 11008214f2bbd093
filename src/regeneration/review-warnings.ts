import type { Registration } from '../credentials/registration.ts';
import { findWarnings } from '../policies/find-subjects.ts';
import type { SecretOwner } from '../secrets/secret-store.ts';
import type { Transaction } from '../storage/database.ts';

const replayable =
  'Anyone who sees a token of the workload can use it until it expires. Require DPoP or a TLS certificate of this client, so that its access tokens are useless to others.';

/**
 * Returns what is weaker after a rotation, and which policies in the stages warn and enforce the owner violates now. Not the
 * age of its secret, which the rotation ends.
 */
export async function findReviewWarnings(
  transaction: Transaction,
  owner: SecretOwner,
  replace: Registration | undefined,
  now: number,
): Promise<string[]> {
  const table = owner.kind === 'client' ? 'clients' : 'access_keys';
  const { warnings = [] } = await findWarnings(transaction, table, owner.id, now);
  return [
    ...(replace?.authMethod === 'workload_identity' && !owner.bindsTokens ? [replayable] : []),
    ...warnings.filter(({ policy }) => policy !== 'secret_age').map(({ message }) => message),
  ];
}
