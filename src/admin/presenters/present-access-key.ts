import { z } from 'zod';
import { type KnownAccessKey, otherScopes, statusOf, toPermissions } from '../../access-keys/access-key.ts';
import type { EndedUse } from '../../attention/find-states.ts';
import { actions } from '../../clients/declared-scopes.ts';
import { isLive } from '../../credentials/secret.ts';
import { presentEndedUse, shownEndedUse, shownNotes, shownWarnings } from '../details-schemas.ts';
import { presentNetworks, shownNetworks } from '../network-schemas.ts';
import { hint, nullableTimestamp, scopeText, text, timestamp } from '../text.ts';

export const permissionsSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be a kind of information'), z.array(z.enum(actions)).max(4))
  .meta({
    description: 'The allowed actions for each kind of information.',
    example: { orders: ['read', 'update'] },
  });

/** Schema of the scopes of an access key that are no kind of information and action. */
export const declaredScopes = scopeText.meta({
  description:
    'Scopes that resource servers declare and that are not in `permissions`, separated by single spaces. Each counts for all names of its permission.',
  example: 'reports:export',
});

const keyFields = {
  id: z.uuid().meta({ description: 'The ID of the access key.' }),
  contact_id: z.uuid().meta({ description: 'The ID of the contact that the key belongs to.' }),
  contact_name: z.string().meta({ description: 'The name of the contact that the key belongs to.' }),
  name: text(200).meta({ description: 'The name of the key, unique among the keys of the contact.' }),
  status: z.enum(['enabled', 'disabled', 'expired']).meta({ description: 'Only an enabled key works.' }),
  permissions: permissionsSchema,
  scope: declaredScopes,
  clients: z.array(z.string()).nullable().meta({ description: 'The Client IDs that the key works with. Null: all.' }),
  standalone: z.boolean().meta({
    description: 'Whether the key works alone: at the API as a bearer token or in `X-API-Key`, without a client.',
  }),
  ...shownNetworks,
  requests_per_minute: z
    .int()
    .nullable()
    .meta({ description: 'How often a stand-alone key may be used in a minute. Null: no limit.' }),
  reveal: z.boolean().meta({ description: 'Whether the key can be shown again.' }),
  ...shownNotes,
  hint,
  expires_at: nullableTimestamp('When the key expires. Null: it does not expire.'),
  retires_at: nullableTimestamp('When the grace period of the previous value ends. Null: there is no previous value.'),
  ...shownEndedUse,
  ...shownWarnings,
  first_used_at: nullableTimestamp(
    'When the key was first used. Null: never. Only a key that was never used can be removed.',
  ),
  last_used_at: nullableTimestamp('When the key was last used. Null: never.'),
  usage: z
    .strictObject({
      granted: z.int().meta({ description: 'How many scopes the key has.' }),
      used: z.int().meta({ description: 'How many of these scopes were used.' }),
      since: timestamp('The start of the period'),
      used_scope: z.array(z.string()).meta({ description: 'The scopes that were used.' }),
      used_permissions: permissionsSchema.nullable().meta({
        description: 'The permissions that were used. Null: no resource server has reported any use.',
      }),
    })
    .meta({
      description:
        'Granted permissions compared with those that resource servers reported as used, in the last 30 days or since the key was created.',
    }),
  created_at: timestamp('When the key was created'),
  updated_at: timestamp('When the key was last changed'),
};

export const accessKeySchema = z
  .strictObject(keyFields)
  .meta({ id: 'AccessKey', description: 'An access key, without its value.' });

/** Schema of an access key with its plaintext value, which only the request that creates or regenerates it returns. */
export const accessKeyWithValueSchema = z
  .strictObject({ ...keyFields, access_key: z.string().meta({ description: 'The value of the key.' }) })
  .meta({ id: 'AccessKeyWithValue', description: 'An access key with its new value.' });

/** Related data of the access keys on one page, loaded with one SQL statement per kind. */
export type AccessKeyFacts = {
  now: number;
  /** Last use of each value, by `key.id/generation`. */
  lastUsed: ReadonlyMap<string, Date>;
  /** Scopes that each key was used for, by the key's id. */
  usedScopes: ReadonlyMap<string, readonly string[]>;
  usedSince: Date;
  /** Rejected requests with an ended value, by the key's id. */
  endedUse: ReadonlyMap<string, EndedUse>;
  /** Client IDs by the clients' internal ids. */
  clientIds: ReadonlyMap<string, string>;
  /** Names of contacts by their ids. */
  contactNames: ReadonlyMap<string, string>;
};

/** Converts an access key to its representation in the admin API, which contains a hint but not the value. */
export function presentAccessKey(
  { key, secrets }: KnownAccessKey,
  facts: AccessKeyFacts,
): z.input<typeof accessKeySchema> {
  const live = secrets.filter((secret) => isLive(secret, facts.now));
  const current = live.find(({ retiresAt }) => retiresAt === null) ?? live[0];
  const used = (facts.usedScopes.get(key.id) ?? []).filter((scope) => key.scope.includes(scope));
  const lastUsed = secrets.map(({ generation }) => facts.lastUsed.get(`${key.id}/${generation}`)?.getTime() ?? 0);
  const lastUsedAt = Math.max(0, key.lastUsedAt?.getTime() ?? 0, ...lastUsed);
  return {
    id: key.id,
    contact_id: key.contactId,
    contact_name: facts.contactNames.get(key.contactId) ?? '',
    name: key.name,
    status: statusOf(key, facts.now),
    permissions: toPermissions(key.scope) as z.input<typeof permissionsSchema>,
    scope: otherScopes(key.scope).join(' '),
    clients: key.clients?.map((id) => facts.clientIds.get(id) ?? '').filter(Boolean) ?? null,
    standalone: key.standalone,
    ...presentNetworks(key),
    requests_per_minute: key.requestsPerMinute,
    reveal: key.reveal,
    description: key.notes?.description ?? null,
    labels: key.notes?.labels ?? {},
    claims: key.claims,
    hint: `…${current?.hint ?? ''}`,
    expires_at: key.expiresAt?.toISOString() ?? null,
    retires_at: live.find(({ retiresAt }) => retiresAt !== null)?.retiresAt?.toISOString() ?? null,
    ended_credential_use: presentEndedUse(facts.endedUse.get(key.id)),
    first_used_at: key.usedAt?.toISOString() ?? null,
    last_used_at: lastUsedAt === 0 ? null : new Date(lastUsedAt).toISOString(),
    usage: {
      granted: key.scope.length,
      used: used.length,
      since: new Date(Math.max(facts.usedSince.getTime(), key.createdAt.getTime())).toISOString(),
      used_scope: used,
      used_permissions: used.length > 0 ? (toPermissions(used) as z.input<typeof permissionsSchema>) : null,
    },
    created_at: key.createdAt.toISOString(),
    updated_at: key.updatedAt.toISOString(),
  };
}
