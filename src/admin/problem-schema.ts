import { z } from 'zod';
import { reviewSchema } from './presenters/present-regeneration.ts';
import { timestamp } from './text.ts';

const issues = z
  .array(z.strictObject({ path: z.string(), message: z.string() }))
  .optional()
  .meta({ description: 'Which fields are wrong, and why' });

const problemFields = {
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string().meta({ description: 'Stable; what a program decides by' }),
};

const problemSchema = z.strictObject({ ...problemFields, issues }).meta({ id: 'Problem', description: 'RFC 9457' });

const conflictSchema = z
  .strictObject({
    ...problemFields,
    clients: z.array(z.strictObject({ client_id: z.string(), name: z.string() })).optional(),
    access_keys: z
      .array(z.strictObject({ id: z.uuid(), name: z.string(), contact_id: z.uuid().optional() }))
      .optional(),
    total: z.int().optional().meta({ description: 'How many there are in all; the lists have the first ten of each' }),
    used_at: timestamp.optional().meta({ description: 'When an access key was used first' }),
  })
  .meta({ id: 'Conflict', description: 'RFC 9457, with what stands in the way' });

const reviewNeededSchema = z
  .strictObject({ ...problemFields, review: reviewSchema })
  .meta({ id: 'ReviewNeeded', description: 'RFC 9457, with the review to be confirmed' });

/** Returns the schema of an error body (RFC 9457) for a status. */
export function problemSchemaOf(status: number): z.ZodType {
  if (status === 409) return conflictSchema;
  return status === 428 ? reviewNeededSchema : problemSchema;
}
