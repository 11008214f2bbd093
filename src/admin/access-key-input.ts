import { z } from 'zod';
import { givenNotes, labelFilter, organizationFilter, stateFilter } from './details-schemas.ts';
import { givenNetworks } from './network-schemas.ts';
import { sortedQuery } from './paging.ts';
import { declaredScopes, permissionsSchema } from './presenters/present-access-key.ts';
import { clientParams } from './routes/client-routes.ts';
import { moment, text } from './text.ts';

/** Schemas of requests about access keys. */

const name = text(200).meta({ description: 'The name of the key, unique among the keys of the contact.' });
const clients = z
  .array(z.string().max(100))
  .min(1)
  .max(100)
  .nullable()
  .meta({ description: 'The Client IDs that the key works with. Null: all.' });
const end = moment.nullable().meta({
  description: 'When the key expires (RFC 3339). Null: it does not expire.',
  override: { type: ['string', 'null'], format: 'date-time' },
});

const limits = {
  standalone: z.boolean().optional().meta({
    description:
      'Whether the key works alone, without a client: at the API as a bearer token or in `X-API-Key`. Needs KEYTURN_STANDALONE_KEYS=on.',
  }),
  ...givenNetworks,
  requests_per_minute: z.int().min(1).max(1_000_000).nullable().optional().meta({
    description: 'How often a stand-alone key may be used in a minute. Null: no limit.',
  }),
};

export const newKey = z.strictObject({
  name,
  permissions: permissionsSchema,
  scope: declaredScopes.optional(),
  clients: clients.optional(),
  ...limits,
  expires_at: end.optional(),
  ...givenNotes,
  reveal: z.boolean().optional().meta({
    description: 'Whether an encrypted copy is stored, so that the key can be shown again. The default is true.',
  }),
});

export const keyPatch = z.strictObject({
  name: name.optional(),
  permissions: permissionsSchema.optional(),
  scope: declaredScopes.optional(),
  clients: clients.optional(),
  ...limits,
  expires_at: end.optional(),
  ...givenNotes,
});

/** Returns the fields of a request under their names inside. */
export function toKeyFields<T extends z.output<typeof keyPatch>>({
  expires_at: expiresAt,
  allowed_networks: allowedNetworks,
  network_mode: networkMode,
  requests_per_minute: requestsPerMinute,
  ...fields
}: T) {
  return { ...fields, expiresAt, allowedNetworks, networkMode, requestsPerMinute };
}

const status = z
  .enum(['enabled', 'disabled', 'expired'])
  .optional()
  .meta({ description: 'Only keys with this status.' });
export const keysQuery = z.strictObject({
  ...sortedQuery,
  contact_id: z.uuid().optional().meta({ description: 'Only keys of this contact.' }),
  organization_id: organizationFilter,
  status,
  q: text(200).optional().meta({
    description:
      'Search text: the beginnings of words in the name of the key or its contact, or `…` and the last four characters of the key.',
  }),
  label: labelFilter,
  state: stateFilter,
  client_id: clientParams.shape.client_id.optional().meta({
    description: 'Only keys that may be used with this client: keys limited to it, and keys that any client may use.',
  }),
  unused_for_days: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number from 0 to 9999')
    .transform(Number)
    .optional()
    .meta({
      description: 'Only keys that were neither used nor created in this number of days.',
      override: { type: 'integer', minimum: 0, maximum: 9999 },
    }),
});
