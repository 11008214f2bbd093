import type { Transaction } from '../storage/database.ts';
import type { UsageBatch } from './usage-store.ts';

/** Tables whose rows have the time of their last use. Rows in steady use are written once in `every`. */
const tables = {
  // Rows are locked in the order of ids, as everywhere, to avoid deadlocks.
  access_keys: { every: '1 hour', condition: 'true', lock: '' },
  // A row that another transaction has locked is left to a later batch, so that the statement waits for no lock.
  clients: { every: '1 day', condition: `r.kind = 'integration'`, lock: 'SKIP LOCKED' },
} as const;

/** Records when access keys or integrations were last used, so that lists find unused ones by an index. */
export async function noteLastUse(
  transaction: Transaction,
  { sources }: UsageBatch,
  table: keyof typeof tables,
): Promise<void> {
  const { every, condition, lock } = tables[table];
  const uses = sources.filter((source) => source.last_used_at !== null);
  if (uses.length === 0) return;
  await transaction.query(
    `WITH due AS (
       SELECT r.id, u.at FROM ${table} r JOIN (
         SELECT owner, max(last_used_at) AS at FROM jsonb_to_recordset($1::jsonb) AS b (owner uuid, last_used_at timestamptz)
         GROUP BY owner
       ) u ON u.owner = r.id
       WHERE ${condition} AND (r.last_used_at IS NULL OR r.last_used_at < u.at - interval '${every}')
       ORDER BY r.id FOR NO KEY UPDATE OF r ${lock}
     ) UPDATE ${table} r SET last_used_at = due.at FROM due WHERE r.id = due.id`,
    [JSON.stringify(uses.map(({ owner, last_used_at }) => ({ owner, last_used_at })))],
  );
}
