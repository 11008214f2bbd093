import { readFileSync } from 'node:fs';
import { UsageError } from '../errors.ts';
import { readStoreUrl } from './store-url.ts';

const files = ['sslcert', 'sslkey', 'sslrootcert'] as const;

/**
 * Checks `DATABASE_URL` before node-postgres parses it, because the errors of node-postgres ("Invalid URL", "ENOENT")
 * do not name the variable.
 * @throws {UsageError} that names `DATABASE_URL` and contains no part of its value.
 */
export function checkPostgresUrl(url: string): void {
  const { scheme, query } = readStoreUrl('DATABASE_URL', url);
  if (!/^postgres(ql)?$/.test(scheme)) {
    throw new UsageError('DATABASE_URL must be a postgres:// URL, with user and password percent-encoded');
  }
  // node-postgres reads any # as the beginning of a fragment.
  if (url.includes('#')) throw new UsageError('DATABASE_URL has a #; in user and password it is written %23');
  const given = new URLSearchParams(query);
  for (const name of files) {
    const file = given.get(name);
    if (!file) continue;
    try {
      readFileSync(file);
    } catch (error) {
      throw new UsageError(`DATABASE_URL: ${name} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
}
