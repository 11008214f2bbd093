import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import { invalidField } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { Transaction } from '../storage/database.ts';
import { type Policy, type PolicyName, type PolicyStage, policiesWithDays } from './policy.ts';
import { deletePolicy, lockPolicy, savePolicy } from './policy-store.ts';

export type GivenPolicy = {
  organizationId: string;
  name: PolicyName;
  stage: PolicyStage | 'off';
  days?: number | undefined;
  graceDays?: number | undefined;
};

/** Days of the grace period that `secret_age` opens. */
export const defaultGraceDays = 14;

/**
 * Sets, changes or removes a policy. Members that are not given keep their value.
 * @returns undefined if the policy is off.
 * @throws {InvalidInput} if a policy that needs a number of days has none, or another one has some.
 */
export async function setPolicy(
  transaction: Transaction,
  { clock }: { clock: Clock },
  actor: Actor,
  given: GivenPolicy,
): Promise<Policy | undefined> {
  const at = new Date(clock());
  const { organizationId, name, stage } = given;
  const before = await lockPolicy(transaction, organizationId, name);
  const hasDays = policiesWithDays.includes(name);
  if (!hasDays && given.days !== undefined) throw invalidField('days', `the policy ${name} has no number of days`);
  if (name !== 'secret_age' && given.graceDays !== undefined) {
    throw invalidField('grace_days', 'only the policy secret_age has a grace period');
  }
  const days = hasDays ? (given.days ?? before?.days ?? null) : null;
  if (hasDays && days === null && stage !== 'off')
    throw invalidField('days', `the policy ${name} needs a number of days`);
  if (stage === 'off') {
    if (!before) return undefined;
    await deletePolicy(transaction, organizationId, name);
  }
  const graceDays = name === 'secret_age' ? (given.graceDays ?? before?.graceDays ?? defaultGraceDays) : null;
  const after: Policy | undefined =
    stage === 'off'
      ? undefined
      : { organizationId, name, stage, days, graceDays, since: before?.since ?? at, updatedAt: at };
  if (after) await savePolicy(transaction, after);
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: after ? 'policy.set' : 'policy.remove',
    targetType: 'policy',
    target: name,
    organizationId,
    ...(before ? { before: auditView(before) } : {}),
    ...(after ? { after: auditView(after) } : {}),
  });
  return after;
}

function auditView({ organizationId, name, stage, days, graceDays }: Policy): Record<string, unknown> {
  return { organization_id: organizationId, name, stage, days, grace_days: graceDays };
}
