import type { Log } from '../observability/log.ts';
import type { Database } from './database.ts';
import { repeatWork } from './repeat-work.ts';

const everyMs = 30_000;
const batchSize = 1_000;
const tables = [
  'access_tokens',
  'changes',
  'lost_changes',
  'idempotency_keys',
  'usage_sources',
  'usage_source_hours',
  'usage_live_tokens',
  'usage_batches',
  'client_keys',
  'access_key_scopes',
  'client_scopes',
  'signing_keys',
  'used_assertions',
  'unseen_revocations',
  'rejected_requests',
  'network_watches',
  'console_sessions',
  'console_links',
  'notices',
  'notice_moments',
  'notice_receivers',
  'sign_in_attempts',
  'mail_link_requests',
  'bounded_tokens',
  'passkey_challenges',
] as const;

/**
 * Deletes expired rows in limited batches, so that a backlog never needs one long statement. Several processes may
 * sweep concurrently; each skips rows that another has locked.
 * @param rollUp processes one batch of other clean-up work and returns whether more is left.
 * @param isClockRight returns whether the database's clock, which decides what has expired, agrees with this process's.
 * @returns a function that stops the sweep.
 */
export function startSweep(
  database: Database,
  log: Log,
  rollUp: (database: Database) => Promise<boolean>,
  isClockRight: () => boolean = () => true,
): () => Promise<void> {
  let stopped = false;

  async function sweep(): Promise<void> {
    if (!isClockRight()) return;
    for (const table of tables) {
      while (!stopped && (await sweepBatch(database, table)) === batchSize);
    }
    while (!stopped && (await rollUp(database)));
  }

  const stop = repeatWork(sweep, everyMs, log, 'failed to delete expired rows');
  return async () => {
    stopped = true;
    await stop();
  };
}

/** Deletes up to 1,000 expired rows of a table. Returns the number of deleted rows. */
export async function sweepBatch(database: Database, table: (typeof tables)[number]): Promise<number> {
  const rows = await database.query(
    `DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM ${table} WHERE expires_at < now() ORDER BY expires_at LIMIT ${batchSize} FOR UPDATE SKIP LOCKED
     )) RETURNING 1`,
  );
  return rows.length;
}
