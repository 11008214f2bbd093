import { z } from 'zod';
import type { Core } from '../../core.ts';
import { invalidField } from '../../errors.ts';
import { findOrganization } from '../../organizations/organization-store.ts';
import { type Policy, policyNames, policyStages, requirementOf } from '../../policies/policy.ts';
import { listPolicies } from '../../policies/policy-store.ts';
import { setPolicy } from '../../policies/set-policy.ts';
import { deploymentOrganization } from '../../storage/organization-limit.ts';
import { organizationFilter, shownOrganization } from '../details-schemas.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { timestamp } from '../text.ts';

const name = z.enum(policyNames).meta({
  description:
    '`secret_age`: the longest age of a secret; `unused`: the longest time without use; `no_new_secrets`: new clients have no secret; `keys_only`: no client has a secret; `no_reveal`: secrets are not shown again; `networks_required`: clients and stand-alone keys are limited to networks; `owner_required`: clients have an owner.',
});
export const policyDays = z.int().min(1).max(3650);
export const policyGraceDays = z.int().min(1).max(30);

export const policySchema = z
  .strictObject({
    organization_id: shownOrganization.meta({
      description: 'The ID of the organization that it is for. That of the deployment: for all organizations.',
    }),
    name,
    stage: z.enum(policyStages).meta({
      description:
        '`report`: violations are in the posture; `warn`: also in answers, reviews and what needs attention; `enforce`: acts that would violate it are rejected, and too old secrets are rotated.',
    }),
    days: policyDays
      .nullable()
      .meta({ description: 'The limit of `secret_age` and `unused`. Null: the policy has none.' }),
    grace_days: policyGraceDays
      .nullable()
      .meta({ description: 'The grace period of a rotation that `secret_age` opens. Null: the policy has none.' }),
    requirement: z.string().meta({ description: 'What it requires, as an English sentence.' }),
    since: timestamp('When the policy was first set'),
    updated_at: timestamp('When the policy was last changed'),
  })
  .meta({ id: 'Policy', description: 'A rule about credentials.' });

const policiesSchema = z
  .strictObject({ data: z.array(policySchema).meta({ description: 'The policies, those of the deployment first.' }) })
  .meta({ id: 'Policies', description: 'The policies that are set.' });

const changedSchema = z
  .strictObject({ policy: policySchema.optional().meta({ description: 'The policy. Absent: it is off.' }) })
  .meta({ id: 'ChangedPolicy', description: 'A policy after a change.' });

/** Endpoints for policies. An organization can have stricter ones in addition to those of the deployment. */
export function policyEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/policies',
      operationId: 'listPolicies',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List the policies that are set',
      query: z.strictObject({ organization_id: organizationFilter }),
      answers: { 200: policiesSchema },
      handle: async ({ query: { organization_id: id } }) => {
        const policies = await listPolicies(core.database, id === undefined ? undefined : [id]);
        return { status: 200, body: { data: policies.map(present) } };
      },
    }),
    endpoint({
      method: 'patch',
      path: '/policies/{name}',
      operationId: 'updatePolicy',
      permission: 'api_key:manage',
      asksProof: true,
      approval: { act: 'policies', of: 'organization' },
      summary: 'Set, change or remove a policy. What is not sent stays',
      params: z.strictObject({ name }),
      body: z.strictObject({
        organization_id: organizationFilter.meta({
          description:
            'The ID of the organization that it is for. The default is the deployment: for all organizations.',
        }),
        stage: z
          .enum([...policyStages, 'off'])
          .meta({ description: 'What follows from a violation. `off`: no policy.' }),
        days: policyDays.optional().meta({ description: 'The limit of `secret_age` and `unused`.' }),
        grace_days: policyGraceDays.optional().meta({
          description: 'The grace period of a rotation that `secret_age` opens. The default is 14.',
        }),
      }),
      example: { stage: 'warn', days: 180 },
      answers: { 200: changedSchema },
      problems: [409],
      handle: async ({ operator, params, body }) => {
        const { organization_id: organizationId = deploymentOrganization } = body;
        const policy = await core.change(async (transaction) => {
          const organization = await findOrganization(transaction, organizationId);
          if (!organization) throw invalidField('organization_id', 'does not exist');
          return await setPolicy(transaction, core, operator, {
            organizationId,
            name: params.name,
            stage: body.stage,
            days: body.days,
            graceDays: body.grace_days,
          });
        });
        return { status: 200, body: policy ? { policy: present(policy) } : {} };
      },
    }),
  ];
}

function present(policy: Policy): z.input<typeof policySchema> {
  const { organizationId, name: policyName, stage, days: limit, graceDays: grace, since, updatedAt } = policy;
  return {
    organization_id: organizationId,
    name: policyName,
    stage,
    days: limit,
    grace_days: grace,
    requirement: requirementOf(policy),
    since: since.toISOString(),
    updated_at: updatedAt.toISOString(),
  };
}
