import { deploymentOrganization } from '../storage/organization-limit.ts';

/** Policies: rules about the credentials of clients and access keys, and what breaks them. */

export const policyNames = [
  'secret_age',
  'unused',
  'no_new_secrets',
  'keys_only',
  'no_reveal',
  'networks_required',
  'owner_required',
] as const;
export type PolicyName = (typeof policyNames)[number];

/**
 * The consequence of a violation. `report`: the posture shows it. `warn`: answers, reviews and the home page show it too.
 * `enforce`: acts that would cause it are refused as well.
 */
export const policyStages = ['report', 'warn', 'enforce'] as const;
export type PolicyStage = (typeof policyStages)[number];

/** The policies that have a number of days. */
export const policiesWithDays: readonly PolicyName[] = ['secret_age', 'unused'];

export type Policy = {
  /** The organization of the deployment stands for all organizations. */
  organizationId: string;
  name: PolicyName;
  stage: PolicyStage;
  /** Null unless the policy is in `policiesWithDays`. */
  days: number | null;
  /** Days of the grace period that `secret_age` opens; null for the other policies. */
  graceDays: number | null;
  /** When the policy was first set. */
  since: Date;
  updatedAt: Date;
};

/** A client or an access key, with the facts that policies judge. */
export type PolicySubject = {
  kind: 'integration' | 'resource_server' | 'access_key';
  organizationId: string;
  enabled: boolean;
  /** Whether it authenticates with a secret. False for access keys, whose value has no alternative. */
  usesSecret: boolean;
  reveal: boolean;
  /** Whether its allowed networks are enforced. Null for an access key that is used with a client only. */
  isLimitedToNetworks: boolean | null;
  /** Whether a contact is responsible for it. Null for an access key, which belongs to its contact. */
  hasOwner: boolean | null;
  createdAt: Date;
  /** When the current secret or value was created; null if there is none. */
  secretSince: Date | null;
  lastUsedAt: Date | null;
};

/** A policy that a client or an access key violates. */
export type Violation = { name: PolicyName; stage: PolicyStage; days: number | null };

const dayMs = 86_400_000;

/** Returns whether a client or an access key violates a policy of its organization or the deployment. */
function isViolated(policy: Policy, subject: PolicySubject, now: number): boolean {
  const limit = now - (policy.days ?? 0) * dayMs;
  switch (policy.name) {
    case 'secret_age':
      return subject.secretSince !== null && subject.secretSince.getTime() < limit;
    case 'unused':
      // The use of a resource server is that of the tokens for it.
      return subject.kind !== 'resource_server' && (subject.lastUsedAt ?? subject.createdAt).getTime() < limit;
    case 'no_new_secrets':
      return subject.usesSecret && subject.createdAt >= policy.since;
    case 'keys_only':
      return subject.usesSecret;
    case 'no_reveal':
      return subject.reveal;
    case 'networks_required':
      return subject.isLimitedToNetworks === false;
    case 'owner_required':
      return subject.hasOwner === false;
  }
}

/**
 * Returns what a client or an access key violates, each policy once with its strictest violated stage. Both the policies
 * of the deployment and those of its organization apply, so the stricter one wins.
 * @param policies those of the deployment and of any organizations.
 */
export function violationsOf(policies: readonly Policy[], subject: PolicySubject, now: number): Violation[] {
  const found = new Map<PolicyName, Violation>();
  for (const policy of policies) {
    const { organizationId, name, stage, days } = policy;
    if (organizationId !== deploymentOrganization && organizationId !== subject.organizationId) continue;
    if (!isViolated(policy, subject, now)) continue;
    const known = found.get(name);
    if (known && rank(known.stage) >= rank(stage)) continue;
    found.set(name, { name, stage, days });
  }
  return policyNames.flatMap((name) => found.get(name) ?? []);
}

function rank(stage: PolicyStage): number {
  return policyStages.indexOf(stage);
}

/** Returns what a violated policy requires, as a sentence. */
export function requirementOf({ name, days }: Pick<Violation, 'name' | 'days'>): string {
  switch (name) {
    case 'secret_age':
      return `A secret must be rotated within ${days} days.`;
    case 'unused':
      return `What was not used for ${days} days must be disabled.`;
    case 'no_new_secrets':
      return 'A new client must authenticate with a key, a certificate or a workload identity.';
    case 'keys_only':
      return 'A client must authenticate with a key, a certificate or a workload identity.';
    case 'no_reveal':
      return 'Secrets and access keys must not be shown again.';
    case 'networks_required':
      return 'A credential must be limited to networks, in the mode enforce.';
    case 'owner_required':
      return 'A client must have an owner.';
  }
}

/** Returns the violations that answers and reviews show, as sentences. */
export function warningsOf(violations: readonly Violation[]): { policy: PolicyName; message: string }[] {
  return violations
    .filter(({ stage }) => stage !== 'report')
    .map((violation) => ({ policy: violation.name, message: requirementOf(violation) }));
}
