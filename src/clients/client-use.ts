import type { Transaction } from '../storage/database.ts';
import type { UsageBatch } from '../usage/usage-store.ts';

/**
 * Records when integrations were last used, so that unused ones are found by an index. An integration in steady use is
 * written once a day. A row that another transaction has locked is left to a later batch, so that this statement waits
 * for no lock.
 */
export async function noteClientUse(transaction: Transaction, { sources }: UsageBatch): Promise<void> {
  const uses = sources.filter((source) => source.last_used_at !== null);
  if (uses.length === 0) return;
  await transaction.query(
    `WITH due AS (
       SELECT c.id, u.at FROM clients c JOIN (
         SELECT owner, max(last_used_at) AS at FROM jsonb_to_recordset($1::jsonb) AS b (owner uuid, last_used_at timestamptz)
         GROUP BY owner
       ) u ON u.owner = c.id
       WHERE c.kind = 'integration' AND (c.last_used_at IS NULL OR c.last_used_at < u.at - interval '1 day')
       ORDER BY c.id FOR NO KEY UPDATE OF c SKIP LOCKED
     ) UPDATE clients c SET last_used_at = due.at FROM due WHERE c.id = due.id`,
    [JSON.stringify(uses.map(({ owner, last_used_at }) => ({ owner, last_used_at })))],
  );
}
