import { z } from 'zod';
import { parseScope } from '../../clients/client.ts';
import type { Organization } from '../../organizations/organization.ts';
import { type Holdings, isDeployment } from '../../organizations/organization-store.ts';
import { givenDetails, shownDetails } from '../details-schemas.ts';
import { resourceUri, scopeText, text, timestamp } from '../text.ts';
import { givenPortal, presentPortal, readPortal, shownPortal } from './present-portal.ts';

const name = text(200).meta({ description: 'The name of the organization.' });
const externalId = text(200)
  .nullable()
  .meta({ description: 'The ID of the organization in your own system. It must be unique.' });

const limit = (description: string, minimum = 0) =>
  z
    .int()
    .min(minimum)
    .max(2_147_483_647)
    .nullable()
    .meta({ description: `${description} Null: no limit.` });
const limits = {
  scopes: z
    .array(
      z.strictObject({
        resource: resourceUri,
        scope: scopeText.meta({
          description: 'The scopes of this API that may be granted, separated by single spaces.',
        }),
      }),
    )
    .max(200)
    .nullable()
    .meta({
      description:
        'The scopes of each API that integrations and access keys may have. An API that is not listed is not allowed. Null: no limit.',
      example: [{ resource: 'https://api.example.com', scope: 'orders:read orders:create' }],
    }),
  integrations: limit('How many integrations the organization may have.'),
  access_keys: limit('How many enabled access keys its contacts may have.'),
  key_lifetime: limit('The longest time from the creation of an access key to its expiry, in seconds.', 60),
  reveal: z.boolean().meta({
    description:
      'Whether secrets and access keys may be shown again. False deletes the encrypted copies, and none are stored from then on.',
  }),
};
const meaning = 'What the integrations and access keys of the organization may have at most.';
const givenCeiling = z
  .strictObject(limits)
  .partial()
  .meta({ description: `${meaning} Only the limits that are sent change.` });

export const newOrganization = z.strictObject({
  name,
  external_id: externalId.optional(),
  labels: givenDetails.labels,
  ceiling: givenCeiling.optional(),
  portal: givenPortal.optional(),
});
export const organizationPatch = newOrganization.partial();

const bounded = 'A list counts at most 1,000.';

export const organizationSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the organization.' }),
    name: z.string().meta({ description: 'The name of the organization.' }),
    external_id: z.string().nullable().meta({ description: 'The ID of the organization in your own system.' }),
    status: z
      .enum(['enabled', 'disabled'])
      .meta({ description: 'While it is disabled, none of its credentials and tokens is accepted.' }),
    is_deployment: z.boolean().meta({
      description:
        'Whether this is the organization of the deployment itself, which cannot be limited, disabled or deleted.',
    }),
    labels: shownDetails.labels,
    ceiling: z.strictObject(limits).meta({ description: meaning }),
    portal: shownPortal,
    integrations: z.int().meta({ description: `How many integrations belong to the organization. ${bounded}` }),
    access_keys: z.int().meta({ description: `How many enabled access keys its contacts have. ${bounded}` }),
    contacts: z.int().meta({ description: `How many contacts belong to it. ${bounded}` }),
    created_at: timestamp('When the organization was created'),
    updated_at: timestamp('When the organization was last changed'),
  })
  .meta({ id: 'Organization', description: 'A customer or partner, to which contacts and integrations belong.' });

export function toOrganizationInput({ external_id: id, ceiling, portal, ...rest }: z.output<typeof organizationPatch>) {
  return {
    ...rest,
    externalId: id,
    portal: readPortal(portal),
    ceiling: ceiling && {
      scopes:
        ceiling.scopes === null
          ? null
          : ceiling.scopes?.map(({ resource, scope }) => ({ resource, scope: parseScope(scope) })),
      integrations: ceiling.integrations,
      accessKeys: ceiling.access_keys,
      keyLifetimeSeconds: ceiling.key_lifetime,
      reveal: ceiling.reveal,
    },
  };
}

export function presentOrganization(
  organization: Organization,
  holdings: Holdings | undefined,
): z.input<typeof organizationSchema> {
  const { ceiling } = organization;
  return {
    id: organization.id,
    name: organization.name,
    external_id: organization.externalId,
    status: organization.enabled ? 'enabled' : 'disabled',
    is_deployment: isDeployment(organization),
    labels: organization.labels,
    ceiling: {
      scopes: ceiling.scopes?.map(({ resource, scope }) => ({ resource, scope: scope.join(' ') })) ?? null,
      integrations: ceiling.integrations,
      access_keys: ceiling.accessKeys,
      key_lifetime: ceiling.keyLifetimeSeconds,
      reveal: ceiling.reveal,
    },
    portal: presentPortal(organization.portal),
    integrations: holdings?.integrations ?? 0,
    access_keys: holdings?.accessKeys ?? 0,
    contacts: holdings?.contacts ?? 0,
    created_at: organization.createdAt.toISOString(),
    updated_at: organization.updatedAt.toISOString(),
  };
}
