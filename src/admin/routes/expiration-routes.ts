import { z } from 'zod';
import {
  describeExpiration,
  type Expiration,
  expirationKinds,
  listExpirations,
  stepBefore,
} from '../../attention/expirations.ts';
import type { Core } from '../../core.ts';
import { type Endpoint, endpoint } from '../endpoint.ts';
import { createPager, pageQuery, pageSchema } from '../paging.ts';
import { queryNumber, timestamp } from '../text.ts';

export const expirationSchema = z
  .strictObject({
    id: z.string().meta({
      description: 'Identifies what ends. It stays the same if the end is postponed.',
      example: 'access_key:0b5f2f5e-6f0f-4c55-9d2c-0a3c1f7f2f11',
    }),
    kind: z.enum(expirationKinds).meta({
      description:
        '`access_key`: it expires; `certificate`: the last registered certificate of a client expires; `grace_period`: the previous credential or value is rejected; `signing_key`: it is rotated automatically.',
    }),
    at: timestamp('When it ends'),
    client_id: z.string().nullable().meta({ description: 'The Client ID. Null: it is not about a client.' }),
    access_key_id: z.uuid().nullable().meta({ description: 'The ID of the access key. Null: it is not about one.' }),
    name: z.string().meta({ description: 'The name of the client or access key, or `Signing key`.' }),
    contact_id: z
      .uuid()
      .nullable()
      .meta({ description: 'The ID of the contact of the access key. Null: it is not about one.' }),
    contact_name: z
      .string()
      .nullable()
      .meta({ description: 'The name of that contact. Null: it is not about an access key.' }),
    regeneration_id: z.uuid().nullable().meta({ description: 'The ID of the rotation. Null: it is not about one.' }),
    message: z.string().meta({ description: 'What happens at the end, as an English sentence.' }),
    next_step: z
      .string()
      .nullable()
      .meta({ description: 'What to do before the end, as an English sentence. Null: nothing.' }),
  })
  .meta({ id: 'Expiration', description: 'Something that ends at a known time.' });

/** Longest time in days that is looked ahead. */
const maxDays = 400;
const defaultDays = 30;

export function expirationEndpoints(core: Core): Endpoint[] {
  const position = z.strictObject({ kind: z.enum(expirationKinds), at: z.iso.datetime(), order: z.string() });
  const pager = createPager(core.keyRing, 'expirations', position);

  return [
    endpoint({
      method: 'get',
      path: '/expirations',
      operationId: 'listExpirations',
      permission: 'integrations:view',
      reach: 'organization',
      summary: 'List what ends in the next days, the first to end first',
      query: z.strictObject({
        ...pageQuery,
        days: queryNumber(maxDays, defaultDays, 'The number of days to look ahead.'),
      }),
      answers: { 200: pageSchema(expirationSchema) },
      handle: async ({ operator, query: { cursor, limit, days } }) => {
        const { after: last } = pager.open(cursor);
        const after = last && { ...last, at: new Date(last.at) };
        const { clock, database, config } = core;
        // The signing key is of the deployment, whose operators rotate it.
        const signingKeyDays = operator.organizationId === null ? config.signingKeyDays : 0;
        const deps = { clock, signingKeyDays };
        const rows = await listExpirations(database, deps, { days, limit, after });
        return pager.answer(rows, { limit }, present, ({ kind, at, order }) => ({ kind, at: at.toISOString(), order }));
      },
    }),
  ];
}

function present(item: Expiration): z.input<typeof expirationSchema> {
  const { kind, at, subject, regenerationId, order } = item;
  return {
    id: `${kind}:${regenerationId ?? order}`,
    kind,
    at: at.toISOString(),
    client_id: subject?.type === 'client' ? subject.id : null,
    access_key_id: subject?.type === 'access_key' ? subject.id : null,
    name: subject?.name ?? 'Signing key',
    contact_id: subject?.contact?.id ?? null,
    contact_name: subject?.contact?.name ?? null,
    regeneration_id: regenerationId,
    message: describeExpiration(item),
    next_step: stepBefore(item),
  };
}
