import { listPolicies } from '../policies/policy-store.ts';
import { findPosture } from '../posture/find-posture.ts';
import type { Queryable } from '../storage/database.ts';
import { ownOrganization } from '../storage/organization-limit.ts';
import { type AttentionItem, type Finding, maxCount, withoutUse } from './attention-item.ts';
import { ofClient, ofKey } from './subjects.ts';

/** Finds the clients and access keys that violate a policy in the stage warn or enforce, the worst first. */
export async function findPolicyViolations(database: Queryable, now: number, limit: number): Promise<Finding> {
  const warn = (await listPolicies(database)).filter(({ stage }) => stage !== 'report');
  const { items } = warn.length === 0 ? { items: [] } : await findPosture(database, now, ownOrganization());
  const violating = items.flatMap(({ subject, findings }): AttentionItem[] => {
    const policy = findings.map((each) => each.policy).find((each) => each !== null && each.stage !== 'report');
    if (!policy) return [];
    const { publicId, name, contact } = subject;
    const named = { id: publicId, name, contact: contact?.id ?? '', contact_name: contact?.name ?? '' };
    return [
      {
        kind: 'policy_violated',
        urgency: 'later',
        subject: subject.kind === 'access_key' ? ofKey(named) : ofClient(publicId, name),
        at: subject.lastUsedAt,
        ...withoutUse,
        policy,
      },
    ];
  });
  return {
    kind: 'policy_violated',
    count: Math.min(violating.length, maxCount),
    items: violating.slice(0, limit),
  };
}
