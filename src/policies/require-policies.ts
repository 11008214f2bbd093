import { Conflict } from '../errors.ts';
import type { Queryable } from '../storage/database.ts';
import { type PolicyName, type PolicySubject, requirementOf, violationsOf } from './policy.ts';
import { listPolicies } from './policy-store.ts';

/** The policies that a change can violate. The others are violated by time. */
const ofChanges: readonly PolicyName[] = [
  'no_new_secrets',
  'keys_only',
  'no_reveal',
  'networks_required',
  'owner_required',
];

/**
 * Requires that a change causes no new violation of an enforced policy. Earlier violations are accepted, so that a policy
 * does not prevent other changes.
 * @param before undefined for something new.
 * @throws {Conflict} `policy_violated` that names the policy.
 */
export async function requirePolicies(
  transaction: Queryable,
  before: PolicySubject | undefined,
  after: PolicySubject,
  now: number,
): Promise<void> {
  const policies = await listPolicies(transaction, [after.organizationId]);
  if (policies.length === 0) return;
  const earlier = before ? violationsOf(policies, before, now).map(({ name }) => name) : [];
  const violated = violationsOf(policies, after, now).find(
    ({ name, stage }) => stage === 'enforce' && ofChanges.includes(name) && !earlier.includes(name),
  );
  if (violated) throw policyViolated(violated);
}

/**
 * Requires that an enforced policy does not forbid an act with something that exists: to show its secret again
 * (`no_reveal`), or to enable it although it is unused (`unused`).
 * @throws {Conflict} `policy_violated` that names the policy.
 */
export async function requireAllowed(
  transaction: Queryable,
  name: 'no_reveal' | 'unused',
  subject: PolicySubject,
  now: number,
): Promise<void> {
  const policies = await listPolicies(transaction, [subject.organizationId]);
  const violated = violationsOf(policies, subject, now).find((each) => each.name === name && each.stage === 'enforce');
  if (violated) throw policyViolated(violated);
}

/**
 * Requires that a client which authenticates in another way may get a secret.
 * @throws {Conflict} `policy_violated` if `keys_only` is enforced.
 */
export async function requireSecretsAllowed(transaction: Queryable, organizationId: string | null): Promise<void> {
  if (organizationId === null) return;
  const policies = await listPolicies(transaction, [organizationId]);
  const enforced = policies.find(({ name, stage }) => name === 'keys_only' && stage === 'enforce');
  if (enforced) throw policyViolated(enforced);
}

/**
 * Returns whether a secret of an organization may be kept to show it again.
 * @param asked what the request asks for; undefined leaves it to the policies.
 */
export async function revealByPolicy(
  transaction: Queryable,
  organizationId: string,
  asked: boolean | undefined,
): Promise<boolean | undefined> {
  if (asked !== undefined) return asked;
  const policies = await listPolicies(transaction, [organizationId]);
  return policies.some(({ name, stage }) => name === 'no_reveal' && stage === 'enforce') ? false : undefined;
}

function policyViolated(violated: { name: PolicyName; days: number | null }): Conflict {
  return new Conflict(
    'policy_violated',
    `The policy ${violated.name} does not allow this. ${requirementOf(violated)}`,
    {
      policy: violated.name,
    },
  );
}
