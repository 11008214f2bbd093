import type { Queryable, Row } from '../storage/database.ts';
import { decodeCaller } from '../usage/usage-source.ts';
import { type AttentionItem, type Finding, maxCount, refusedAsEnded, refusedMs, urgentMs } from './attention-item.ts';
import { nameSubjects } from './subjects.ts';

type RefusedRow = Row & { owner: string; address: string; user_agent: string; refused: number; refused_at: Date };

/**
 * Finds enabled clients and access keys whose ended credentials are still used, the one that was rejected last first. At
 * most the latest `maxCount` sources are examined.
 */
export async function findRefused(database: Queryable, now: number, limit: number): Promise<Finding> {
  const rows = await database.query<RefusedRow>(
    `SELECT coalesce((SELECT client FROM client_keys WHERE id = s.owner), s.owner) AS owner, s.address, s.user_agent, s.refused, s.refused_at
     FROM (
       SELECT owner, address, user_agent, refused, refused_at FROM usage_sources
       WHERE ${refusedAsEnded} AND refused_at > $1 ORDER BY refused_at DESC LIMIT ${maxCount}
     ) s ORDER BY s.refused_at DESC`,
    [new Date(now - refusedMs)],
  );
  const byOwner = Map.groupBy(rows, ({ owner }) => owner);
  const subjects = await nameSubjects(database, [...byOwner.keys()]);
  const owners = [...byOwner].filter(([owner]) => subjects.has(owner));
  return {
    kind: 'refused_credential',
    count: owners.length,
    items: owners.slice(0, limit).map(([owner, sources]): AttentionItem => {
      const at = sources[0]?.refused_at ?? new Date(now);
      return {
        kind: 'refused_credential',
        urgency: now - at.getTime() < urgentMs ? 'urgent' : 'soon',
        subject: subjects.get(owner) as AttentionItem['subject'],
        regenerationId: null,
        at,
        sources: sources.slice(0, 3).map((row) => ({ address: row.address, ...decodeCaller(row.user_agent) })),
        sourceCount: sources.length,
        movedCount: null,
        requests: sources.reduce((sum, { refused }) => sum + refused, 0),
      };
    }),
  };
}
