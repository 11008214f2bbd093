import type { PolicySubject } from '../policies/policy.ts';
import { requireAllowed, requirePolicies } from '../policies/require-policies.ts';
import type { Transaction } from '../storage/database.ts';
import { type Client, isSecretMethod } from './client.ts';

/** Returns a client as policies see it, without its use and the age of its secret, which no change of it violates. */
export function policySubjectOf(client: Client): PolicySubject {
  return {
    kind: client.kind,
    organizationId: client.organizationId,
    enabled: client.enabled,
    usesSecret: isSecretMethod(client.authMethod),
    reveal: client.reveal,
    isLimitedToNetworks: client.allowedNetworks !== null && client.networkMode === 'enforce',
    hasOwner: (client.details?.ownerContactId ?? null) !== null,
    createdAt: client.createdAt,
    secretSince: null,
    lastUsedAt: null,
  };
}

/** Requires that a change of a client violates no enforced policy. @throws {Conflict} `policy_violated` */
export async function requireClientPolicies(
  transaction: Transaction,
  before: Client | undefined,
  after: Client,
  now: number,
): Promise<void> {
  await requirePolicies(transaction, before && policySubjectOf(before), policySubjectOf(after), now);
}

/**
 * Requires that an unused client may be enabled.
 * @throws {Conflict} `policy_violated` if it was unused for too long.
 */
export async function requireNotUnused(transaction: Transaction, client: Client, now: number): Promise<void> {
  const [row] = await transaction.query<{ last_used_at: Date | null }>(
    `SELECT GREATEST(last_used_at, (SELECT max(last_used_at) FROM usage_sources WHERE owner = $1)) AS last_used_at
     FROM clients WHERE id = $1`,
    [client.id],
  );
  await requireAllowed(
    transaction,
    'unused',
    { ...policySubjectOf(client), lastUsedAt: row?.last_used_at ?? null },
    now,
  );
}

/** Requires that the secret of a client may be shown again. @throws {Conflict} `policy_violated` */
export async function requireRevealable(transaction: Transaction, client: Client, now: number): Promise<void> {
  await requireAllowed(transaction, 'no_reveal', policySubjectOf(client), now);
}
