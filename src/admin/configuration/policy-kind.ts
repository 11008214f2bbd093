import { z } from 'zod';
import { policiesWithDays, policyNames, policyStages } from '../../policies/policy.ts';
import { defaultGraceDays } from '../../policies/set-policy.ts';
import { approvalFields } from '../routes/approval-settings-routes.ts';
import { policyDays, policyGraceDays } from '../routes/policy-routes.ts';
import { organizationMember } from './client-kinds.ts';
import { isMembers, pick } from './compare-documents.ts';
import type { Kind, Members } from './configuration-kind.ts';
import { settingOf } from './setting-kind.ts';

/** Documents of the policies of each organization, with the acts that need the approval of a second person. */

const stage = z.enum(policyStages).meta({
  description: 'The consequence of a violation: `report`, `warn` or `enforce`, each with those before it.',
});

const rules = Object.fromEntries(
  policyNames.map((name) => [
    name,
    z
      .strictObject({
        stage,
        ...(policiesWithDays.includes(name) ? { days: policyDays } : {}),
        ...(name === 'secret_age' ? { grace_days: policyGraceDays.optional() } : {}),
      })
      .meta({ description: `The policy ${name}. It is off if it is not given.` }),
  ]),
);
const approvals = z
  .strictObject(approvalFields)
  .partial()
  .meta({ description: 'The acts that need the approval of a second person.' });

const members = { ...rules, approvals };

export const policiesKind: Kind = {
  name: 'policies',
  schema: z.strictObject({
    kind: z.literal('policies'),
    organization: organizationMember,
    ...z.strictObject(members).partial().shape,
  }),
  patch: z.strictObject(Object.fromEntries(Object.entries(members).map(([name, schema]) => [name, schema.nullish()]))),
  defaultsOf: ({ secret_age: age }) => ({
    ...(isMembers(age) ? { secret_age: { grace_days: defaultGraceDays } } : {}),
    approvals: { acts: [], reveal_hours: null },
  }),
  ...settingOf({
    label: 'policies',
    async change(changed, { id }, world) {
      for (const name of policyNames.filter((each) => each in changed)) {
        const rule = changed[name];
        const body = { organization_id: id, ...(isMembers(rule) ? rule : { stage: 'off' }) };
        await world.call('PATCH /policies/{name}', { params: { name }, body });
      }
      const { approvals: settings } = changed;
      if (!isMembers(settings)) return;
      await world.call('PATCH /approvals/settings', { body: { organization_id: id, ...settings } });
    },
  }),
  async read(shown, world) {
    const query = { organization_id: String(shown['id']) };
    const { body: list } = await world.call<{ data: Members[] }>('GET /policies', { query });
    const { body: settings } = await world.call('GET /approvals/settings', { query });
    const own = list.data.filter((policy) => policy['organization_id'] === query.organization_id);
    return {
      organization: await world.organizationName(shown['id']),
      ...Object.fromEntries(own.map((policy) => [policy['name'], pick(policy, ['stage', 'days', 'grace_days'])])),
      approvals: pick(settings, ['acts', 'reveal_hours']),
    };
  },
};

/**
 * Returns the members that change only after all other documents: the policies that are enforced, so that what an export
 * contains can be created again although it violates them, and the acts that need approval.
 */
export function tightening(document: Members): string[] {
  const isEnforced = (name: string) => isMembers(document[name]) && document[name]['stage'] === 'enforce';
  return ['approvals', ...policyNames.filter(isEnforced)];
}
