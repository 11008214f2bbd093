import { z } from 'zod';
import { type AuthMethod, authMethods } from '../../clients/client.ts';
import { shownHint } from '../../credentials/secret.ts';
import type { Handover } from '../../handover/handover-store.ts';
import { moveReasons, presentJudged } from '../../regeneration/judge-sources.ts';
import type { RegenerationProgress } from '../../regeneration/regeneration-progress.ts';
import type { RotatedSecret } from '../../regeneration/regeneration-store.ts';
import { presentPlace, type UsageSource } from '../../usage/usage-source.ts';
import { nullableTimestamp, timestamp } from '../text.ts';
import { keyFields } from './present-client.ts';

/** Schema of the members of a source that say which one it is. */
export const placeFields = {
  address: z.string().meta({ description: 'The IP address. `*`: all sources that are not listed one by one.' }),
  user_agent: z.string().meta({ description: 'The User-Agent header. Empty: none was sent.' }),
  instance: z.string().nullable().meta({
    description: 'The name that the program gave itself with `client_instance` or `Keyturn-Instance`. Null: none.',
    example: 'orders-sync-0',
  }),
};

const userSchema = z.strictObject({
  ...placeFields,
  last_seen_at: nullableTimestamp('When the source last used the secret. Null: never.'),
  tokens_24h: z.int().meta({ description: 'How many tokens the source got in the last 24 hours.' }),
});
const judgedSchema = userSchema.extend({
  reason: z.enum(moveReasons).meta({
    description:
      'Why the source counts as moved to the new credential, or why it does not. `moved`: it was seen with the new one, and has not used the previous one for long enough. `marked_as_moved`: an operator has marked it. `never_seen_with_new`: it was not seen with the new one. `used_previous_recently`: it may still have a token that was obtained with the previous one. `silent_less_than_usual`: it has been silent for longer between two uses before. `holds_previous_tokens`: tokens that it obtained with the previous one are live. `awaits_renewals`: it held several tokens of the previous one at a time, and has obtained fewer with the new one, so it must not use the previous one for twice as long. `address_unreadable`: its address is unknown, so it may be several callers. `merged_sources`: it stands for all sources that are not listed one by one.',
  }),
  counts_as_moved_at: nullableTimestamp(
    'When the source counts as moved, provided that it does not use the previous credential before. Null: it does not count as moved by the passage of time alone.',
  ),
  live_tokens: z.int().meta({
    description:
      'How many live tokens the source obtained with the credential. Tokens that were obtained in the same minute count once.',
  }),
  renewals_awaited: z.int().meta({
    description:
      'How many more tokens of the new credential are awaited from the source: as many as it held at a time, at most 60. Until then, it must not use the previous one for twice `required_silence_seconds` to count as moved. Tokens that were obtained in the same minute count once.',
  }),
  marked_at: nullableTimestamp(
    'When an operator marked the source as moved. The mark counts until the source uses the previous credential again. Null: it is not marked.',
  ),
  marked_by: z
    .string()
    .nullable()
    .meta({ description: 'The name of the operator who marked it. Null: it is not marked.' }),
  required_silence_seconds: z.int().meta({
    description:
      'For how many seconds the source must not use the previous credential to count as moved: the longest token lifetime plus 60, or its longest pause between two uses if that is longer.',
  }),
});
const trierSchema = z.strictObject({
  ...placeFields,
  last_seen_at: nullableTimestamp('When a request of the source was last rejected.'),
  refused: z.int().meta({ description: 'How many requests of the source were rejected.' }),
});

const use = {
  last_used_at: nullableTimestamp('When the secret was last used. Null: not in the time for which usage is kept.'),
  used_by: z
    .array(userSchema)
    .meta({ description: 'The sources that used the secret in the last 30 days, latest first.' }),
  used_by_others: z.int().meta({ description: 'How many more sources there are.' }),
  tokens_24h: z.int().meta({ description: 'How many tokens were issued for the secret in the last 24 hours.' }),
};

const judgedUse = {
  ...use,
  used_by: z.array(judgedSchema).meta({
    description:
      'The sources that used the secret in the last 30 days, latest first, with the reason why each has moved or not.',
  }),
};

const rotated = {
  client_id: z
    .string()
    .optional()
    .meta({ description: 'The Client ID that the credential belongs to. Absent for an access key.' }),
  hint: z.string().meta({
    description: '`…` and the last four characters of a secret, or a short description of keys or a certificate.',
    example: '…x7Qz',
  }),
  auth_method: z.enum(authMethods).optional().meta({
    description: 'How the client authenticates with it, if the rotation replaced keys, a certificate or the method.',
  }),
};

export const reviewSchema = z
  .strictObject({
    confirmation: z
      .string()
      .meta({ description: 'Send this value when you regenerate. It shows that you have seen this review.' }),
    expires_in: z.int().meta({ description: 'How many seconds the confirmation is valid.' }),
    impact: z
      .strictObject({
        ...judgedUse,
        keys: z
          .array(
            z.strictObject({
              ...keyFields,
              ends: z.boolean().meta({ description: 'Whether it is rejected after the grace period.' }),
              ...use,
            }),
          )
          .meta({ description: 'Who uses which key or certificate of the current credential.' }),
        awaits_first_use: z.boolean().meta({
          description:
            'Whether the current secret was imported as a hash and has not been used yet, so its users are not known.',
        }),
        warnings: z.array(z.string()).meta({
          description: 'What is weaker after this rotation. Usually empty.',
          example: [],
        }),
        live_tokens: z.int().meta({ description: 'How many active tokens were obtained with the secret.' }),
        retiring_secret: z
          .strictObject({ ...rotated, retires_at: timestamp('When the previous secret stops working'), ...judgedUse })
          .nullable()
          .meta({
            description:
              'The previous secret of a running grace period, which stops working at once if you regenerate. Null: no grace period is running.',
          }),
      })
      .meta({ description: 'Who uses the secret now, and would fail without the new one.' }),
  })
  .meta({ id: 'RegenerationReview', description: 'The impact of a regeneration.' });

export const regenerationSchema = z
  .strictObject({
    id: z.uuid().meta({ description: 'The ID of the regeneration.' }),
    state: z
      .enum(['overlapping', 'finished', 'undone'])
      .meta({ description: '`overlapping`: the grace period is running, and both secrets work.' }),
    ...rotated,
    previous: z
      .strictObject({
        ...rotated,
        retires_at: nullableTimestamp('When the previous secret stops working. Null: it is the current one again.'),
      })
      .meta({ description: 'The previous secret.' }),
    finish_when_unused: z
      .boolean()
      .meta({ description: 'Whether the grace period ends early, when all sources have moved to the new secret.' }),
    revoke_tokens: z.boolean().meta({ description: 'Whether the regeneration revoked all active tokens.' }),
    created_at: timestamp('When the new secret was generated'),
    created_by: z.string().meta({
      description: 'The name of the operator who regenerated, or the address of the person who opened a link.',
    }),
    handover: z
      .strictObject({
        created_by: z.string().meta({ description: 'The name of the operator who created the link.' }),
        opened_by: z.string().meta({ description: 'The e-mail address of the person who opened it, at `created_at`.' }),
        address: z.string().meta({ description: 'The IP address from which it was opened.' }),
        user_agent: z.string().meta({ description: 'The User-Agent header of that request.' }),
      })
      .nullable()
      .meta({ description: 'The hand-over that began the regeneration when its link was opened. Null: none did.' }),
    ended_at: nullableTimestamp('When the grace period ended. Null: it is running.'),
    ended_by: z.string().nullable().meta({
      description: 'The name of the operator who ended or undid it. Null: it ended at its date, or is running.',
    }),
    moved: z.array(judgedSchema).meta({
      description:
        'Sources of the previous secret that use the new one and have not used the previous one for long enough, or that an operator has marked as moved.',
    }),
    still_using_old: z
      .array(judgedSchema)
      .meta({ description: 'All other sources of the previous secret, with the reason why each has not moved.' }),
    using_new: z.array(userSchema).meta({ description: 'Sources that use the new secret.' }),
    tried_after_end: z
      .array(trierSchema)
      .meta({ description: 'Sources that used the previous secret after it stopped working.' }),
  })
  .meta({ id: 'Regeneration', description: 'A rotation of a client secret or an access key, and its progress.' });

/** @param handover the hand-over that began it, if it was one. */
export function presentRegeneration(
  progress: RegenerationProgress,
  handover: Handover | undefined,
): z.input<typeof regenerationSchema> {
  const { regeneration, state } = progress;
  const { oldSecret, newSecret, ended } = regeneration;
  const endedAt = ended?.at ?? (state === 'finished' ? oldSecret.retiresAt : null);
  return {
    id: regeneration.id,
    state,
    ...presentRotated(newSecret),
    previous: { ...presentRotated(oldSecret), retires_at: oldSecret.retiresAt?.toISOString() ?? null },
    finish_when_unused: regeneration.finishWhenUnused,
    revoke_tokens: regeneration.revokeTokens,
    created_at: regeneration.createdAt.toISOString(),
    created_by: regeneration.createdBy,
    handover: handover?.opened
      ? {
          created_by: handover.createdBy,
          opened_by: handover.email,
          address: handover.opened.address,
          user_agent: handover.opened.userAgent,
        }
      : null,
    ended_at: endedAt?.toISOString() ?? null,
    ended_by: ended?.by ?? null,
    moved: progress.moved.map(presentJudged),
    still_using_old: progress.stillUsingOld.map(presentJudged),
    using_new: progress.usingNew.map(presentUser),
    tried_after_end: progress.triedAfterEnd.map(({ refused, refusedAt, ...source }) => ({
      ...presentPlace(source),
      last_seen_at: refusedAt?.toISOString() ?? null,
      refused,
    })),
  };
}

function presentRotated(rotated: RotatedSecret) {
  const { clientId, registration } = rotated;
  return {
    ...(clientId === null ? {} : { client_id: clientId }),
    hint: shownHint(rotated),
    ...(registration ? { auth_method: registration.authMethod as AuthMethod } : {}),
  };
}

function presentUser({ lastUsedAt, issued24h, ...source }: UsageSource) {
  return {
    ...presentPlace(source),
    last_seen_at: lastUsedAt?.toISOString() ?? null,
    tokens_24h: issued24h,
  };
}
