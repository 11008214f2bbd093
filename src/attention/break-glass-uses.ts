import type { Queryable, Row } from '../storage/database.ts';
import { type AttentionItem, brokenGlassMs, type Finding, maxCount, withoutUse } from './attention-item.ts';

type UseRow = Row & {
  token: string;
  token_name: string;
  contact: string | null;
  contact_name: string;
  used_at: Date;
};

/** Finds break-glass operator tokens that were used lately and not acknowledged since, the latest use first. */
export async function findBreakGlassUses(database: Queryable, now: number, limit: number): Promise<Finding> {
  const rows = await database.query<UseRow>(
    `SELECT token, token_name, contact, contact_name, used_at FROM break_glass_uses
     WHERE used_at > $1 AND (acknowledged_at IS NULL OR acknowledged_at < used_at)
     ORDER BY used_at DESC, token LIMIT ${maxCount}`,
    [new Date(now - brokenGlassMs)],
  );
  return {
    kind: 'break_glass_used',
    count: rows.length,
    items: rows.slice(0, limit).map(
      (row): AttentionItem => ({
        kind: 'break_glass_used',
        urgency: 'urgent',
        subject: {
          type: 'operator_token',
          id: row.token,
          name: row.token_name,
          contact: { id: row.contact, name: row.contact_name },
        },
        at: row.used_at,
        ...withoutUse,
      }),
    ),
  };
}
