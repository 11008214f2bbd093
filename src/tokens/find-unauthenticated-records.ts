import type { Database } from '../storage/database.ts';
import type { UnauthenticatedRecords } from './token-record-codec.ts';

/** Time after the migration during which processes of the previous version may still issue tokens. */
const rolloutMs = 3_600_000;

/**
 * Returns which token records without authentication are accepted: those that the previous version issued until an hour
 * after the migration. Returns undefined once the last of those tokens have expired.
 */
export async function findUnauthenticatedRecords(
  database: Database,
  now: number,
  ttlSeconds: number,
): Promise<UnauthenticatedRecords | undefined> {
  const rows = await database.query<{ since: Date | null }>(
    'SELECT max(since) AS since FROM authenticated_token_records',
  );
  const since = rows[0]?.since;
  if (!since) return undefined;
  const issuedBefore = since.getTime() + rolloutMs;
  const ttlMs = ttlSeconds * 1_000;
  return now < issuedBefore + ttlMs ? { issuedBefore, ttlMs } : undefined;
}
