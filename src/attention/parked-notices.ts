import type { Queryable, Row } from '../storage/database.ts';
import { type AttentionItem, type Finding, maxCount, parkedMs, withoutUse } from './attention-item.ts';

type ParkedRow = Row & { id: string; name: string; receiver: string; reason: string | null; settled_at: Date };

/** Finds notices that could not be delivered to somebody lately, and are not tried again, the latest first. */
export async function findParkedNotices(database: Queryable, now: number, limit: number): Promise<Finding> {
  const rows = await database.query<ParkedRow>(
    `SELECT n.id, n.subject_name AS name, d.reason, d.settled_at,
       coalesce((SELECT name FROM notice_receivers WHERE channel = d.channel AND receiver = d.receiver), d.receiver) AS receiver
     FROM (
       SELECT * FROM notice_deliveries WHERE state = 'parked' AND settled_at > $1 ORDER BY settled_at DESC LIMIT ${maxCount}
     ) d JOIN notices n ON n.id = d.notice ORDER BY d.settled_at DESC`,
    [new Date(now - parkedMs)],
  );
  return {
    kind: 'notice_parked',
    count: rows.length,
    items: rows.slice(0, limit).map(
      (row): AttentionItem => ({
        kind: 'notice_parked',
        urgency: 'soon',
        subject: { type: 'notice', id: row.id, name: row.name, contact: null },
        at: row.settled_at,
        ...withoutUse,
        parked: { receiver: row.receiver, reason: row.reason ?? 'unknown reason' },
      }),
    ),
  };
}
