import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { ChainedEvent } from './audit-chain.ts';
import type { AuditEvent } from './audit-event.ts';
import { pendingEventsOf } from './audited-transaction.ts';

/**
 * Appends an event in the change's own transaction, so that both are committed or neither is. It is written last, just
 * before the commit. The event must not contain a secret.
 */
export async function appendAuditEvent(transaction: Transaction, event: AuditEvent): Promise<void> {
  pendingEventsOf(transaction).push(event);
}

export type AuditFilter = {
  actor?: string | undefined;
  action?: string | undefined;
  target?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  limit: number;
  /** Last event of the previous page. */
  after?: { at: Date; seq: number } | undefined;
};

export type RecordedAuditEvent = Row & ChainedEvent;

/**
 * Lists events, latest first; events of the same time in descending order of their numbers. Returns one row more than
 * `limit` if there is another page.
 */
export async function listAuditEvents(database: Queryable, filter: AuditFilter): Promise<RecordedAuditEvent[]> {
  const { actor, action, target, since, until, after, limit } = filter;
  const parameters: unknown[] = [];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const conditions = ['true'];
  // Add only the requested conditions, so that each can use its index.
  if (actor !== undefined) conditions.push(`actor = ${bind(actor)}`);
  if (action !== undefined) conditions.push(`action = ${bind(action)}`);
  if (target !== undefined) conditions.push(`target = ${bind(target)}`);
  if (since) conditions.push(`at >= ${bind(since)}`);
  if (until) conditions.push(`at < ${bind(until)}`);
  if (after) conditions.push(`(at, seq) < (${bind(after.at)}, ${bind(after.seq)}::bigint)`);
  return await database.query<RecordedAuditEvent>(
    `SELECT seq, at, actor, actor_name, address, action, target_type, target, before, after FROM audit_events
     WHERE ${conditions.join(' AND ')} ORDER BY at DESC, seq DESC LIMIT ${bind(limit + 1)}`,
    parameters,
  );
}
