import { z } from 'zod';
import { type EndedUse, states } from '../attention/find-states.ts';
import {
  contactsProblem,
  descriptionProblem,
  isLabelKey,
  labelKeyForm,
  labelsProblem,
  limits,
  metadataProblem,
  tokenLifetimes,
} from '../clients/client-details.ts';
import { type Claims, claimLimits, claimsProblem } from '../clients/custom-claims.ts';
import { dialectNames } from '../configuration/dialects.ts';
import { policyNames } from '../policies/policy.ts';
import { givenNetworks, shownNetworks } from './network-schemas.ts';
import { scopeText, timestamp } from './text.ts';

/** Schemas of the notes and settings of clients and access keys, for requests and responses. */

/** Adds a check that imports share to a schema. */
function checked<Schema extends z.ZodType>(schema: Schema, problemOf: (value: z.output<Schema>) => string | undefined) {
  return schema.superRefine((value, context) => {
    const message = problemOf(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
}

const description = checked(z.string().min(1).max(limits.description), descriptionProblem).meta({
  description: 'Notes for people, in one or more lines.',
  example: 'Sends orders of the web shop to the warehouse.',
});
const labels = checked(z.record(z.string(), z.string()), labelsProblem).meta({
  description: 'Keys and values to sort and filter by, at most 32.',
  example: { team: 'logistics', stage: 'production' },
});
const claimSet = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean(), z.array(z.string()).max(claimLimits.items)]),
) as z.ZodType<Claims, Claims>;
const claims = checked(claimSet, claimsProblem).meta({
  description:
    'Custom claims of introspections and JWTs, at most 20 and 1,024 bytes. Names that are registered for JWTs, and those that Keyturn sets, are not allowed. If several have the same claim, that of the access key wins over that of the client, and that over that of the resource server.',
  example: { tenant: 'acme', plan: 'gold' },
});
const lifetime = z.int().min(tokenLifetimes.min).max(tokenLifetimes.max).meta({
  description:
    'The lifetime of access tokens in seconds. Of client and resource server, the shorter one applies. Null: none of its own.',
  example: 900,
});
const metadata = checked(z.record(z.string(), z.unknown()), metadataProblem).meta({
  description: 'A JSON object for your own programs, at most 16 KiB.',
  example: { crm_id: 4711 },
});
const contacts = checked(z.array(z.string().min(1).max(limits.contact)).max(limits.contacts), contactsProblem).meta({
  description: 'Whom to ask about the client, such as e-mail addresses (RFC 7591 §2).',
  example: ['integrations@partner.example'],
});
const ownerId = z.uuid().meta({ description: 'The ID of the contact who is responsible for the client.' });
const defaultScope = scopeText.meta({
  description:
    'Integration: the scopes of a token that is requested without `scope`, a part of `scope`. Null: all of `scope`. Empty: such a request is rejected.',
});

/** Returns a member that may be null or absent, with the description of the schema. */
function orNull<Schema extends z.ZodType>(schema: Schema) {
  return schema
    .nullable()
    .optional()
    .meta({ ...schema.meta() });
}

const dialects = z
  .array(z.enum(dialectNames))
  .max(dialectNames.length)
  .meta({
    description:
      'Deviations of other servers’ clients that are accepted of this client, in addition to those of `KEYTURN_DIALECTS`. `audience`: read as `resource`. `json_body`: token requests in JSON. `token_endpoint_audience`: assertions for the token endpoint or for several servers. `rs256_assertions`: assertions with RS256. `other_paths`: token requests at the paths of Auth0, IdentityServer and Keycloak.',
    example: ['audience', 'json_body'],
  });

const organizationId = z.uuid().meta({ description: 'The ID of an organization.' });
/** Query parameter of lists. */
export const organizationFilter = organizationId.optional().meta({ description: 'Only those of this organization.' });
/** Member of a request body that creates a client or contact, or moves it to another organization. */
export const givenOrganization = organizationId.optional().meta({
  description: 'The ID of the organization that it belongs to. The default is that of the deployment itself.',
});
/** Member of a client or contact in a response. */
export const shownOrganization = organizationId.meta({
  description: 'The ID of the organization that it belongs to.',
});

const selfRotation = z.boolean().meta({
  description:
    'Whether the client may rotate its own credential at `POST /oauth2/credentials/rotate` of the public listener. The default is false.',
});

/** Members of a request body that registers or changes a client. */
export const givenDetails = {
  owner_contact_id: orNull(ownerId),
  description: orNull(description),
  labels: labels.optional(),
  metadata: metadata.optional(),
  contacts: contacts.optional(),
  access_token_ttl: orNull(lifetime),
  default_scope: orNull(defaultScope),
  dialects: dialects.optional(),
  claims: claims.optional(),
  self_rotation: selfRotation.optional(),
  ...givenNetworks,
};

/** Members of a client in a response. */
export const shownDetails = {
  owner_contact_id: ownerId
    .nullable()
    .meta({ description: 'The ID of the contact who is responsible for the client. Null: nobody.' }),
  description: z.string().nullable().meta({ description: 'Notes for people. Null: none.' }),
  labels: z.record(z.string(), z.string()).meta({ description: 'Keys and values to sort and filter by.' }),
  metadata: z.record(z.string(), z.unknown()).meta({ description: 'A JSON object for your own programs.' }),
  contacts: z.array(z.string()).meta({ description: 'Whom to ask about the client (RFC 7591 §2).' }),
  access_token_ttl: z.int().nullable().meta({
    description: 'The lifetime of access tokens in seconds. Null: none of its own.',
  }),
  default_scope: z.string().nullable().meta({
    description: 'The scopes of a token that is requested without `scope`. Null: all of `scope`.',
  }),
  dialects: z
    .array(z.enum(dialectNames))
    .meta({ description: 'Deviations that are accepted of this client, beside those of the deployment.' }),
  claims: claimSet.meta({ description: 'Custom claims of introspections and JWTs.' }),
  self_rotation: selfRotation.meta({ description: 'Whether the client may rotate its own credential.' }),
  ...shownNetworks,
};

/** Members of a request body that creates or changes an access key. */
export const givenNotes = {
  description: givenDetails.description,
  labels: givenDetails.labels,
  claims: givenDetails.claims,
};

/** Members of an access key in a response. */
export const shownNotes = {
  description: shownDetails.description,
  labels: shownDetails.labels,
  claims: shownDetails.claims,
};

/** Query parameter of lists. */
export const labelFilter = z
  .string()
  .max(limits.labelKey + 1 + limits.labelValue)
  .transform((text, context) => {
    const [, key = '', , value] = /^([^=]*)(=(.*))?$/s.exec(text) ?? [];
    if (!isLabelKey(key)) context.addIssue({ code: 'custom', message: `the key ${labelKeyForm}` });
    return { key, value };
  })
  .optional()
  .meta({
    description: 'Only those with this label: `key=value`, or `key` with any value.',
    example: 'team=logistics',
    override: { type: 'string', maxLength: limits.labelKey + 1 + limits.labelValue },
  });

/** Query parameter of lists. */
export const stateFilter = z.enum(states).optional().meta({
  description:
    'Only those in this state: `in_grace_period`: a previous credential still works; `refused`: an ended credential was used in the last 7 days; `unused`: enabled, but neither used nor created in the last 90 days; `expiring`: an access key or all certificates of a client expire within 14 days. At most 1,000 are listed, those that need attention first.',
});

/** Member of a client or an access key that is shown alone. */
export const shownWarnings = {
  warnings: z
    .array(
      z.strictObject({
        policy: z.enum(policyNames).meta({ description: 'The name of the policy.' }),
        message: z.string().meta({ description: 'What the policy requires, as an English sentence.' }),
      }),
    )
    .optional()
    .meta({ description: 'The policies in the stage warn or enforce that it violates. Absent: none, and in lists.' }),
};

/** Member of a client or an access key. */
export const shownEndedUse = {
  ended_credential_use: z
    .strictObject({
      requests: z.int().meta({ description: 'How many requests of these sources were rejected.' }),
      last_at: timestamp('When the last one was rejected'),
    })
    .nullable()
    .meta({
      description: 'Requests with an ended credential, of sources that sent one in the last 7 days. Null: none.',
    }),
};

export function presentEndedUse(use: EndedUse | undefined): z.input<typeof shownEndedUse.ended_credential_use> {
  return use ? { requests: use.requests, last_at: use.lastAt.toISOString() } : null;
}
