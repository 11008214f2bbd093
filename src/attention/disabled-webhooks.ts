import type { Queryable, Row } from '../storage/database.ts';
import { type AttentionItem, type Finding, maxCount, withoutUse } from './attention-item.ts';

type WebhookRow = Row & { id: string; name: string; last_failure: string | null; updated_at: Date };

/** Finds webhooks that Keyturn has disabled, because nothing could be delivered to them, the latest first. */
export async function findDisabledWebhooks(database: Queryable, limit: number): Promise<Finding> {
  const rows = await database.query<WebhookRow>(
    `SELECT id, name, last_failure, updated_at FROM webhooks WHERE disabled_as IN ('failing', 'gone')
     ORDER BY updated_at DESC, id LIMIT ${maxCount}`,
  );
  return {
    kind: 'webhook_disabled',
    count: rows.length,
    items: rows.slice(0, limit).map(
      (row): AttentionItem => ({
        kind: 'webhook_disabled',
        urgency: 'soon',
        subject: { type: 'webhook', id: row.id, name: row.name, contact: null },
        at: row.updated_at,
        ...withoutUse,
        lastFailure: row.last_failure,
      }),
    ),
  };
}
