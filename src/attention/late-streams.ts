import { findStreamLags } from '../audit/stream-store.ts';
import type { Queryable } from '../storage/database.ts';
import { type AttentionItem, type Finding, streamLateMs, urgentMs, withoutUse } from './attention-item.ts';

/** Finds receivers of the audit log that have not accepted an event for a while. @param targets those to examine. */
export async function findLateStreams(
  database: Queryable,
  targets: readonly { name: string }[],
  now: number,
): Promise<Finding> {
  const items = (await findStreamLags(database, targets)).flatMap(({ name, since }): AttentionItem[] => {
    const age = since === null ? 0 : now - since.getTime();
    if (age < streamLateMs) return [];
    return [
      {
        kind: 'audit_stream_late',
        urgency: age < urgentMs ? 'soon' : 'urgent',
        subject: { type: 'audit_stream', id: name, name, contact: null },
        at: since,
        ...withoutUse,
      },
    ];
  });
  return { kind: 'audit_stream_late', count: items.length, items };
}
