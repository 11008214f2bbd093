import { z } from 'zod';
import { momentProblem, readMoment, textProblem } from '../text/read-text.ts';

/** Schema of human-readable text of 1 to `max` characters. `textProblem` defines the allowed characters. */
export function text(max: number) {
  return z
    .string()
    .min(1, { error: 'must not be empty', abort: true })
    .max(max, { error: `must not be longer than ${max} characters`, abort: true })
    .superRefine((value, context) => {
      const message = textProblem(value, max);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    });
}

/** Schema of scopes (RFC 6749 §3.3). The empty string is an empty list. */
export const scopeText = z
  .string()
  .max(10_000)
  .regex(
    /^(?:[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*)?$/,
    'must be scopes, separated by single spaces (RFC 6749 §3.3)',
  )
  .meta({ description: 'Scopes, separated by single spaces (RFC 6749 §3.3).', example: 'orders:read orders:create' });

/** Schema of a resource identifier (RFC 8707 §2). */
export const resourceUri = z
  .string()
  .max(2_000)
  .regex(/^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x22\x24-\x7e]+$/, 'must be an absolute URI without a fragment (RFC 8707)')
  .refine((uri) => URL.canParse(uri), 'must be an absolute URI without a fragment (RFC 8707)')
  .meta({
    description: 'Identifier of a resource server: an absolute URI without a fragment (RFC 8707).',
    example: 'https://api.example.com',
  });

/** Schema of a time in a request. */
export const moment = z
  .string()
  .max(100)
  .transform((text, context) => {
    const at = readMoment(text);
    if (!at) context.addIssue({ code: 'custom', message: momentProblem });
    return at ?? z.NEVER;
  })
  .meta({ override: { type: 'string', format: 'date-time' } });

/** Schema of a time in a response. */
export function timestamp(description: string) {
  return z.iso.datetime().meta({ description: `${description} (RFC 3339).` });
}

/** Schema of a time in a response, or null. */
export function nullableTimestamp(description: string) {
  return z.iso.datetime().nullable().meta({ description });
}

/** Schema of the end of a credential, to recognise it by. */
export const hint = z
  .string()
  .meta({ description: '`…` and the last four characters of the value.', example: '…x7Qz' });

/**
 * Creates the schema of a query parameter that is a whole number from 1 to `max`, in decimal digits.
 * @param fallback the value if the parameter is omitted.
 */
export function queryNumber(max: number, fallback: number, description: string) {
  const bounds = `must be a whole number from 1 to ${max}`;
  return z
    .string()
    .regex(new RegExp(`^\\d{1,${String(max).length}}$`), bounds)
    .transform(Number)
    .pipe(z.number().min(1, bounds).max(max, bounds))
    .default(fallback)
    .meta({ description, override: { type: 'integer', minimum: 1, maximum: max, default: fallback } });
}
