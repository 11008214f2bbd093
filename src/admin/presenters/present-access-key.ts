import { z } from 'zod';
import { type KnownAccessKey, statusOf, toPermissions } from '../../access-keys/access-key.ts';
import { actions } from '../../clients/client.ts';
import { isLive } from '../../credentials/secret.ts';
import { text, timestamp } from '../text.ts';

export const permissionsSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9_-]{0,62}$/, 'must be a kind of information'), z.array(z.enum(actions)).max(4))
  .meta({
    description: 'By kind of information, the actions that are allowed',
    example: { orders: ['read', 'update'] },
  });

const keyFields = {
  id: z.uuid(),
  contact_id: z.uuid(),
  contact_name: z.string(),
  name: text(200),
  status: z.enum(['enabled', 'disabled', 'expired']),
  permissions: permissionsSchema,
  clients: z.array(z.string()).nullable().meta({ description: 'The Client IDs that it may be used with; null: any' }),
  reveal: z.boolean(),
  hint: z.string().meta({ description: 'The last four characters', example: '…x7Qz' }),
  expires_at: timestamp.nullable(),
  retires_at: timestamp.nullable().meta({ description: 'When the retiring value ends' }),
  first_used_at: timestamp.nullable().meta({ description: 'Null: never used, and only then it can be removed' }),
  last_used_at: timestamp.nullable(),
  usage: z
    .strictObject({
      granted: z.int(),
      used: z.int(),
      since: timestamp,
      used_scope: z.array(z.string()),
      used_permissions: permissionsSchema.nullable().meta({
        description: 'The smaller set that would have been enough; null: no resource server has reported use of it',
      }),
    })
    .meta({
      description:
        'What is granted against what resource servers reported as really used, in the last 30 days or since it was made',
    }),
  created_at: timestamp,
  updated_at: timestamp,
};

export const accessKeySchema = z.strictObject(keyFields).meta({ id: 'AccessKey' });

/** Schema of an access key with its plaintext value, which only the request that creates or regenerates it returns. */
export const accessKeyWithValueSchema = z
  .strictObject({ ...keyFields, access_key: z.string() })
  .meta({ id: 'AccessKeyWithValue' });

/** Related data of the access keys on one page, loaded with one SQL statement per kind. */
export type AccessKeyFacts = {
  now: number;
  /** Last use of each value, by `key.id/generation`. */
  lastUsed: ReadonlyMap<string, Date>;
  /** Scopes that each key was used for, by the key's id. */
  usedScopes: ReadonlyMap<string, readonly string[]>;
  usedSince: Date;
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
    clients: key.clients?.map((id) => facts.clientIds.get(id) ?? '').filter(Boolean) ?? null,
    reveal: key.reveal,
    hint: `…${current?.hint ?? ''}`,
    expires_at: key.expiresAt?.toISOString() ?? null,
    retires_at: live.find(({ retiresAt }) => retiresAt !== null)?.retiresAt?.toISOString() ?? null,
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
