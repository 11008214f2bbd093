import { z } from 'zod';

const format = z.iso.datetime({ offset: true });

/** Describes a text that `readMoment` rejects, as the end of a sentence that begins with the name of the field. */
export const momentProblem = 'must be a time that exists, with its offset, such as 2027-01-31T12:00:00Z (RFC 3339)';

/**
 * Parses an RFC 3339 time. Used by the admin API, the console, the command line and imports.
 * @returns undefined for a day that does not exist, such as 2027-02-30, and for a local time without an offset.
 */
export function readMoment(text: string): Date | undefined {
  return format.safeParse(text).success ? new Date(text) : undefined;
}
