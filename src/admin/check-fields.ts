import type { z } from 'zod';
import { InvalidInput } from '../errors.ts';

/** What a schema makes of a part of a request. @throws {InvalidInput} that names every field that is wrong or unknown, and no value. */
export function checkFields(schema: z.ZodObject, value: unknown): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const shown = 20;
  const issues = result.error.issues.flatMap(describe).slice(0, shown);
  throw new InvalidInput(
    issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join('; '),
    issues,
  );
}

function describe(issue: z.core.$ZodIssue): { path: string; message: string }[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key].join('.'), message: 'unknown field' }));
  }
  return [{ path: issue.path.join('.'), message: issue.message }];
}
