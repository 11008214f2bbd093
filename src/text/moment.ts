import { z } from 'zod';

const format = z.iso.datetime({ offset: true });

/** Ends the sentence "It …" for a text that `readMoment` does not take. */
export const momentProblem = 'must be a time that exists, with its offset, such as 2027-01-31T12:00:00Z (RFC 3339)';

/**
 * Reads a time as RFC 3339 writes it. Every door uses this: the admin API, the console, the command line and imports.
 * @returns undefined for a day that does not exist, such as 2027-02-30, and for a local time without an offset.
 */
export function readMoment(text: string): Date | undefined {
  return format.safeParse(text).success ? new Date(text) : undefined;
}
