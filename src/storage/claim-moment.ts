import type { Transaction } from './database.ts';

const remainMs = 86_400_000;

/**
 * Records a moment for a day, beside those of notices. Returns whether it was not recorded before, so that one process does
 * what is due then.
 */
export async function claimMoment(transaction: Transaction, moment: string, at: Date): Promise<boolean> {
  const rows = await transaction.query(
    'INSERT INTO notice_moments (moment, expires_at) VALUES ($1, $2) ON CONFLICT (moment) DO NOTHING RETURNING 1',
    [moment, new Date(at.getTime() + remainMs)],
  );
  return rows.length > 0;
}
