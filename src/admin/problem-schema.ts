import { z } from 'zod';
import { reviewSchema } from './presenters/present-regeneration.ts';
import { timestamp } from './text.ts';

const issues = z
  .array(
    z.strictObject({
      path: z.string().meta({ description: 'The field, such as `permissions.orders`.' }),
      message: z.string().meta({ description: 'What is wrong with it.' }),
    }),
  )
  .optional()
  .meta({ description: 'The fields that are wrong, at most 20.' });

const problemFields = {
  type: z.literal('about:blank').meta({ description: 'Always `about:blank`; see `code`.' }),
  title: z.string().meta({ description: 'The reason phrase of the status.' }),
  status: z.int().meta({ description: 'The HTTP status.' }),
  detail: z.string().meta({ description: 'What is wrong and what to do, for people. The text may change.' }),
  code: z.string().meta({ description: 'The kind of error, for programs. It does not change.' }),
};

const problemSchema = z
  .strictObject({ ...problemFields, issues })
  .meta({ id: 'Problem', description: 'An error (RFC 9457).' });

const clientId = z.string().meta({ description: 'The Client ID.' });
const name = z.string().meta({ description: 'Its name.' });

const conflictSchema = z
  .strictObject({
    ...problemFields,
    clients: z
      .array(z.strictObject({ client_id: clientId, name }))
      .optional()
      .meta({ description: 'Clients that prevent the change, at most ten.' }),
    access_keys: z
      .array(
        z.strictObject({
          id: z.uuid().meta({ description: 'The ID of the access key.' }),
          name,
          contact_id: z.uuid().optional().meta({ description: 'The ID of its contact.' }),
        }),
      )
      .optional()
      .meta({ description: 'Access keys that prevent the change, at most ten.' }),
    total: z.int().optional().meta({ description: 'How many clients and access keys prevent the change.' }),
    used_at: timestamp('When the access key was first used').optional(),
  })
  .meta({ id: 'Conflict', description: 'An error (RFC 9457), with what prevents the change.' });

const reviewNeededSchema = z
  .strictObject({ ...problemFields, review: reviewSchema })
  .meta({ id: 'ReviewNeeded', description: 'An error (RFC 9457), with the current review to confirm.' });

/** Returns the schema of an error body (RFC 9457) for a status. */
export function problemSchemaOf(status: number): z.ZodType {
  if (status === 409) return conflictSchema;
  return status === 428 ? reviewNeededSchema : problemSchema;
}
