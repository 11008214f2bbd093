import { z } from 'zod';
import { type ApprovalSettings, deploymentActs, guardedActs } from '../../approvals/approval.ts';
import { findOwnSettings, findSettingsFor, findUnapprovable, saveSettings } from '../../approvals/approval-settings.ts';
import { appendAuditEvent } from '../../audit/audit-log.ts';
import { describePermission } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import { Conflict, invalidField, NotFound } from '../../errors.ts';
import { findOrganization } from '../../organizations/organization-store.ts';
import type { Queryable } from '../../storage/database.ts';
import { deploymentOrganization } from '../../storage/organization-limit.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { type Operator, organizationFor } from '../operator-auth.ts';

const organization = z.uuid().optional().meta({
  description: 'The ID of the organization whose settings are meant. The default is that of the operator.',
});
const acts = z.array(z.enum(guardedActs)).meta({
  description:
    'The acts that need approval: revoke all tokens, delete, rotate the root key, and change these settings and policies.',
});
const revealHours = z.int().min(0).max(87_600).nullable().meta({
  description:
    'For how many hours after its generation a secret can be shown again without approval. Null: no approval is needed.',
});
export const approvalFields = { acts, reveal_hours: revealHours };

export const approvalSettingsSchema = z
  .strictObject({
    ...approvalFields,
    effective: z
      .strictObject(approvalFields)
      .meta({ description: 'What applies, together with the settings of the deployment.' }),
  })
  .meta({ id: 'ApprovalSettings', description: 'Which acts need the approval of a second person.' });

/** Endpoints of the settings of approvals. Those of an organization add to those of the deployment. */
export function approvalSettingsEndpoints(core: Core): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/approvals/settings',
      operationId: 'getApprovalSettings',
      permission: null,
      reach: 'organization',
      summary: 'Get which acts need the approval of a second person',
      query: z.strictObject({ organization_id: organization }),
      answers: { 200: approvalSettingsSchema },
      problems: [404],
      handle: async ({ operator, query }) => {
        const id = await findScope(core.database, operator, query.organization_id);
        const effective = await findSettingsFor(core.unlimitedDatabase, id);
        return { status: 200, body: present(await findOwnSettings(core.database, id), effective) };
      },
    }),
    endpoint({
      method: 'patch',
      path: '/approvals/settings',
      operationId: 'updateApprovalSettings',
      permission: 'contacts:manage',
      reach: 'organization',
      asksProof: true,
      approval: { act: 'policies', of: 'organization' },
      summary: 'Change which acts need the approval of a second person. At least two people must be able to approve',
      body: z.strictObject({
        organization_id: organization,
        acts: acts.optional(),
        reveal_hours: revealHours.optional(),
      }),
      example: { acts: ['revoke_all', 'delete'], reveal_hours: 24 },
      answers: { 200: approvalSettingsSchema },
      problems: [404, 409],
      handle: async ({ operator, body }) => {
        const id = await findScope(core.database, operator, body.organization_id);
        const before = await findOwnSettings(core.database, id);
        const after: ApprovalSettings = {
          acts: body.acts ? guardedActs.filter((act) => body.acts?.includes(act)) : before.acts,
          revealHours: body.reveal_hours === undefined ? before.revealHours : body.reveal_hours,
        };
        if (id !== deploymentOrganization && after.acts.some((act) => deploymentActs.includes(act))) {
          throw invalidField('acts', 'the root key and the audit log belong to the deployment');
        }
        const at = new Date(core.clock());
        const lacking = await findUnapprovable(core.unlimitedDatabase, id, after, at);
        if (lacking) throw tooFew(lacking);
        await core.change(async (transaction) => {
          await saveSettings(transaction, id, after);
          await appendAuditEvent(transaction, {
            at,
            actor: operator,
            action: 'approval.settings',
            targetType: 'organization',
            target: id,
            before: auditView(before),
            after: auditView(after),
          });
        });
        return { status: 200, body: present(after, await findSettingsFor(core.unlimitedDatabase, id)) };
      },
    }),
  ];
}

function tooFew({ act, permission }: NonNullable<Awaited<ReturnType<typeof findUnapprovable>>>): Conflict {
  return new Conflict(
    'too_few_approvers',
    `Fewer than two people with different e-mail addresses can sign in and have the permission ${describePermission(permission)}, so nobody could approve: ${act}. Give it to another person first.`,
  );
}

/** @throws {NotFound} if the organization does not exist for this operator. */
async function findScope(database: Queryable, operator: Operator, asked: string | undefined): Promise<string> {
  const found = await findOrganization(database, organizationFor(operator, asked) ?? deploymentOrganization);
  if (!found) throw new NotFound('organization');
  return found.id;
}

function auditView({ acts, revealHours }: ApprovalSettings): Record<string, unknown> {
  return { acts, reveal_hours: revealHours };
}

function present(own: ApprovalSettings, effective: ApprovalSettings): z.input<typeof approvalSettingsSchema> {
  const view = ({ acts, revealHours }: ApprovalSettings) => ({ acts: [...acts], reveal_hours: revealHours });
  return { ...view(own), effective: view(effective) };
}
