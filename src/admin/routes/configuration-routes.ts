import { z } from 'zod';
import { describePermission } from '../../contacts/contact.ts';
import type { Core } from '../../core.ts';
import {
  ApprovalsNeeded,
  applyConfiguration,
  flushUsage,
  type ListEndpoints,
  planConfiguration,
} from '../configuration/apply-configuration.ts';
import { exportConfiguration } from '../configuration/export-configuration.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { changeOnce } from '../idempotency.ts';
import { configurationPlan, newSecrets } from '../presenters/present-configuration.ts';
import { askForAll } from '../with-approval.ts';

/** Enough for some ten thousand documents. */
const maxBodyBytes = 8 * 1024 * 1024;

const documents = z
  .array(z.record(z.string(), z.unknown().meta({ description: 'The value of the member.' })))
  .max(10_000)
  .meta({
    description:
      'The documents: each has a `kind` and the members that the JSON Schema of `keyturn schema` lists. A member that is absent has its default.',
    example: [{ kind: 'organization', name: 'Acme Ltd', external_id: 'acme' }],
  });
const given = {
  documents,
  prune: z.boolean().default(false).meta({
    description: 'Whether to delete what you see and what no document means. Each deletion must be accepted.',
  }),
};

/** @param listEndpoints returns the other endpoints of the admin API, by which a configuration is read and applied. */
export function configurationEndpoints(core: Core, listEndpoints: ListEndpoints): Endpoint[] {
  return [
    endpoint({
      method: 'get',
      path: '/configuration',
      operationId: 'exportConfiguration',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'Get everything that you see as documents of a configuration',
      answers: {
        200: z.strictObject({
          documents: documents.meta({ description: 'The documents, always in the same order.' }),
          warnings: z
            .array(z.string())
            .meta({ description: 'What a server that the documents are applied to cannot tell apart.' }),
        }),
      },
      handle: async ({ operator }) => ({
        status: 200,
        body: await core.database.transaction((transaction) =>
          exportConfiguration(core, listEndpoints, operator, transaction),
        ),
      }),
    }),
    endpoint({
      method: 'post',
      path: '/configuration/plan',
      operationId: 'planConfiguration',
      permission: 'integrations:view',
      reach: 'organization',
      asksProof: true,
      summary: 'Find out what a configuration would change, and who uses what it would cut. Nothing is changed',
      body: z.strictObject(given),
      maxBodyBytes,
      answers: { 200: configurationPlan },
      problems: [409],
      handle: async ({ operator, body }) => ({
        status: 200,
        body: await planConfiguration(core, listEndpoints, operator, body),
      }),
    }),
    endpoint({
      method: 'post',
      path: '/configuration/apply',
      operationId: 'applyConfiguration',
      permission: 'integrations:view',
      reach: 'organization',
      asksProof: true,
      summary: `Apply a configuration: all of its changes, or none. Each change needs the permission of its own endpoint, not only ${describePermission('integrations:view')}`,
      body: z.strictObject({
        ...given,
        accept: z
          .array(z.string().max(100))
          .max(10_000)
          .default([])
          .meta({
            description: 'The IDs of changes that may delete or cut something in use, from the plan. `all`: every one.',
            example: ['9f2c41d0'],
          }),
        fingerprint: z.string().max(100).optional().meta({
          description: 'That of the plan. The answer is 409 if anything else would be changed.',
        }),
        show_secrets: z.boolean().default(false).meta({
          description: 'Whether the answer contains the secrets that were generated.',
        }),
      }),
      maxBodyBytes,
      idempotent: true,
      answers: { 200: configurationPlan.extend({ ...newSecrets }) },
      problems: [409, 428],
      handle: async ({ operator, body: { show_secrets: showSecrets, ...body }, idempotent }) => {
        await flushUsage(core);
        const applied = changeOnce(core, idempotent, async (transaction) => {
          const request = { ...body, fingerprint: body.fingerprint };
          const { secrets, ...done } = await applyConfiguration(transaction, core, listEndpoints, operator, request);
          const shown = showSecrets ? secrets : [];
          const targetTypeOf = (kind: string) => (kind === 'webhook' ? 'webhook' : 'client');
          return {
            status: 200,
            secretOf: shown.map(({ kind, id: target }) => ({ targetType: targetTypeOf(kind), target })),
            body: { ...done, secrets: shown, secrets_not_shown: secrets.length - shown.length },
          };
        });
        return await applied.catch(async (error: unknown) => {
          throw error instanceof ApprovalsNeeded ? await askForAll(core, operator, error.needed, error.plan) : error;
        });
      },
    }),
  ];
}
