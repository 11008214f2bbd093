import { z } from 'zod';
import { timestamp } from '../text.ts';

/** Schemas of what a configuration changes. */

const kind = z.string().meta({ description: 'The kind of document, such as `integration`.' });
const name = z.string().meta({ description: 'Its name. For a trust, that of its integration comes first.' });
const organization = z.string().nullable().meta({
  description: 'The external ID or the name of its organization. Null: the deployment.',
});

export const configurationPlan = z
  .strictObject({
    changes: z
      .array(
        z.strictObject({
          id: z
            .string()
            .meta({ description: 'Stands for what changes. It is the same in each plan.', example: '9f2c41d0' }),
          kind,
          name,
          organization,
          action: z.enum(['create', 'update', 'delete']).meta({ description: 'What happens to it.' }),
          fields: z
            .array(
              z.strictObject({
                field: z.string().meta({ description: 'The member of the document.' }),
                before: z.unknown().meta({ description: 'What the server has. Null: nothing.' }),
                after: z.unknown().meta({ description: 'What it gets. Null: nothing.' }),
              }),
            )
            .meta({ description: 'The members that change.' }),
          cuts: z
            .array(
              z.strictObject({
                what: z.string().meta({ description: 'What stops working, as an English clause.' }),
                used_by: z
                  .array(
                    z.strictObject({
                      name: z.string().meta({ description: 'Who: a program, a client or a person.' }),
                      last_used_at: timestamp('When it was last used'),
                    }),
                  )
                  .meta({ description: 'Who used it in the last 30 days, latest first, at most 50.' }),
              }),
            )
            .meta({ description: 'What stops working.' }),
          needs_acceptance: z.boolean().meta({
            description: 'Whether it must be accepted, because it deletes something or cuts something in use.',
          }),
          lacks: z.string().nullable().meta({
            description: 'The permission that you lack for it, as a sentence. Null: none is known to lack.',
          }),
          needs_approval: z.boolean().meta({
            description: 'Whether a second person has to approve it, and has not. An apply then requests the approval.',
          }),
          document: z.int().nullable().meta({
            description: 'The position of its document in the request, from 0. Null: it is in none.',
          }),
        }),
      )
      .meta({ description: 'What changes, in the order in which it is changed. Empty: nothing.' }),
    fingerprint: z.string().meta({ description: 'Stands for all of the changes.' }),
  })
  .meta({ id: 'ConfigurationPlan', description: 'What a configuration changes.' });

export const newSecrets = {
  id: z.uuid().meta({ description: 'The ID of the apply, which the audit log names in each of its events.' }),
  secrets: z
    .array(
      z.strictObject({
        kind,
        name,
        organization,
        id: z.string().meta({ description: 'The Client ID, or the ID of the webhook.' }),
        secret: z.string().meta({ description: 'The client secret, or the signing secret.' }),
      }),
    )
    .meta({ description: 'The secrets that were generated, if `show_secrets` asks for them.' }),
  secrets_not_shown: z.int().meta({ description: 'How many secrets were generated that the answer does not contain.' }),
};
