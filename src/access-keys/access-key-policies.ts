import type { PolicySubject } from '../policies/policy.ts';
import { requireAllowed, requirePolicies } from '../policies/require-policies.ts';
import type { Transaction } from '../storage/database.ts';
import type { AccessKey } from './access-key.ts';

/** Returns an access key as policies see it, without the age of its value, which no change of it violates. */
function policySubjectOf(key: AccessKey, organizationId: string): PolicySubject {
  return {
    kind: 'access_key',
    organizationId,
    enabled: key.enabled,
    usesSecret: false,
    reveal: key.reveal,
    isLimitedToNetworks: key.standalone ? key.allowedNetworks !== null && key.networkMode === 'enforce' : null,
    hasOwner: null,
    createdAt: key.createdAt,
    secretSince: null,
    lastUsedAt: key.lastUsedAt,
  };
}

/** Requires that a change of an access key violates no enforced policy. @throws {Conflict} `policy_violated` */
export async function requireKeyPolicies(
  transaction: Transaction,
  organizationId: string,
  before: AccessKey | undefined,
  after: AccessKey,
  now: number,
): Promise<void> {
  const subjectOf = (key: AccessKey) => policySubjectOf(key, organizationId);
  await requirePolicies(transaction, before && subjectOf(before), subjectOf(after), now);
}

/**
 * Requires that an access key may be enabled (`unused`) or shown again (`no_reveal`).
 * @throws {Conflict} `policy_violated`
 */
export async function requireKeyAllowed(
  transaction: Transaction,
  organizationId: string,
  name: 'unused' | 'no_reveal',
  key: AccessKey,
  now: number,
): Promise<void> {
  await requireAllowed(transaction, name, policySubjectOf(key, organizationId), now);
}
