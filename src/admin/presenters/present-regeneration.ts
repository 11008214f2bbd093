import { z } from 'zod';
import { type AuthMethod, authMethods } from '../../clients/client.ts';
import { shownHint } from '../../credentials/secret.ts';
import type { RegenerationProgress } from '../../regeneration/regeneration-progress.ts';
import type { TurnedSecret } from '../../regeneration/regeneration-store.ts';
import type { UsageSource } from '../../usage/usage-report.ts';
import { timestamp } from '../text.ts';

const place = {
  address: z.string().meta({ description: '`*` stands for all that are not told one by one' }),
  user_agent: z.string(),
};

const userSchema = z.strictObject({ ...place, last_seen_at: timestamp.nullable(), tokens_24h: z.int() });
const trierSchema = z.strictObject({ ...place, last_seen_at: timestamp.nullable(), refused: z.int() });

const use = {
  last_used_at: timestamp.nullable(),
  used_by: z.array(userSchema).meta({ description: 'In the last 30 days, the latest first' }),
  used_by_others: z.int().meta({ description: 'How many more there are' }),
  tokens_24h: z.int(),
};

const turned = {
  client_id: z.string().optional().meta({ description: 'Of a client: the Client ID that it goes with' }),
  hint: z.string().meta({
    description: 'The last four characters of a secret, or a name of the keys or the certificate for people',
    example: '…x7Qz',
  }),
  auth_method: z.enum(authMethods).optional().meta({
    description: 'How the client authenticates with it, where the rotation replaced keys, a certificate or the method',
  }),
};

export const reviewSchema = z
  .strictObject({
    confirmation: z.string().meta({ description: 'To be sent back: it says that this review was seen' }),
    expires_in: z.int().meta({ description: 'Seconds' }),
    impact: z.strictObject({
      ...use,
      live_tokens: z.int(),
      retiring_secret: z
        .strictObject({ ...turned, retires_at: timestamp, ...use })
        .nullable()
        .meta({ description: 'An overlap that runs already: regenerating ends this secret at once' }),
    }),
  })
  .meta({ id: 'RegenerationReview' });

export const regenerationSchema = z
  .strictObject({
    id: z.uuid(),
    state: z.enum(['overlapping', 'finished', 'undone']),
    ...turned,
    previous: z.strictObject({ ...turned, retires_at: timestamp.nullable() }),
    finish_when_unused: z.boolean(),
    revoke_tokens: z.boolean(),
    created_at: timestamp,
    created_by: z.string(),
    ended_at: timestamp.nullable(),
    ended_by: z.string().nullable().meta({ description: 'Null: it ended by its date, or has not ended' }),
    moved: z.array(userSchema).meta({
      description: 'Sources of the old secret that use the new one and have not used the old one for long enough',
    }),
    still_using_old: z.array(userSchema).meta({ description: 'All other sources of the old secret' }),
    using_new: z.array(userSchema),
    tried_after_end: z.array(trierSchema).meta({ description: 'Who still calls with the secret that is dead' }),
  })
  .meta({ id: 'Regeneration' });

export function presentRegeneration(progress: RegenerationProgress): z.input<typeof regenerationSchema> {
  const { regeneration, state } = progress;
  const { oldSecret, newSecret, ended } = regeneration;
  const endedAt = ended?.at ?? (state === 'finished' ? oldSecret.retiresAt : null);
  return {
    id: regeneration.id,
    state,
    ...presentTurned(newSecret),
    previous: { ...presentTurned(oldSecret), retires_at: oldSecret.retiresAt?.toISOString() ?? null },
    finish_when_unused: regeneration.finishWhenUnused,
    revoke_tokens: regeneration.revokeTokens,
    created_at: regeneration.createdAt.toISOString(),
    created_by: regeneration.createdBy,
    ended_at: endedAt?.toISOString() ?? null,
    ended_by: ended?.by ?? null,
    moved: progress.moved.map(presentUser),
    still_using_old: progress.stillUsingOld.map(presentUser),
    using_new: progress.usingNew.map(presentUser),
    tried_after_end: progress.triedAfterEnd.map(({ address, userAgent, refused, refusedAt }) => ({
      address,
      user_agent: userAgent,
      last_seen_at: refusedAt?.toISOString() ?? null,
      refused,
    })),
  };
}

function presentTurned(turned: TurnedSecret) {
  const { clientId, registration } = turned;
  return {
    ...(clientId === null ? {} : { client_id: clientId }),
    hint: shownHint(turned),
    ...(registration ? { auth_method: registration.authMethod as AuthMethod } : {}),
  };
}

function presentUser({ address, userAgent, lastUsedAt, issued24h }: UsageSource) {
  return {
    address,
    user_agent: userAgent,
    last_seen_at: lastUsedAt?.toISOString() ?? null,
    tokens_24h: issued24h,
  };
}
