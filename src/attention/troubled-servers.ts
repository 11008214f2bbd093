import type { Queryable, Row } from '../storage/database.ts';
import { type AttentionItem, dayMs, type Finding, withoutUse } from './attention-item.ts';
import { ofClient } from './subjects.ts';

/** Maximum number of resource servers that are examined, the newest first. */
const maxExamined = 200;
/** Time without introspections after which a resource server that made some before needs attention. */
const silentMs = 7 * dayMs;

type ServerRow = Row & {
  client_id: string;
  name: string;
  enabled: boolean;
  updated_at: Date;
  last_used_at: Date | null;
};

/**
 * Finds resource servers that are disabled, and those that introspected tokens before but have not for a week: they may
 * be unreachable, or shut down.
 */
export async function findTroubledServers(database: Queryable, now: number, limit: number): Promise<Finding[]> {
  const rows = await database.query<ServerRow>(
    `SELECT client_id, name, enabled, updated_at,
       (SELECT max(last_used_at) FROM usage_sources WHERE owner = c.id) AS last_used_at
     FROM (
       SELECT * FROM clients WHERE kind = 'resource_server' ORDER BY created_at DESC, id DESC LIMIT ${maxExamined}
     ) c`,
  );
  const items = rows.flatMap(({ client_id, name, enabled, updated_at, last_used_at: last }): AttentionItem[] => {
    const isSilent = last !== null && now - last.getTime() >= silentMs;
    if (enabled && !isSilent) return [];
    return [
      {
        kind: enabled ? 'resource_server_silent' : 'resource_server_disabled',
        urgency: enabled ? 'soon' : 'urgent',
        subject: ofClient(client_id, name),
        at: enabled ? last : updated_at,
        ...withoutUse,
      },
    ];
  });
  return (['resource_server_disabled', 'resource_server_silent'] as const).map((kind) => {
    const ofKind = items.filter((item) => item.kind === kind);
    return { kind, count: ofKind.length, items: ofKind.slice(0, limit) };
  });
}
