import type { Queryable, Row } from '../storage/database.ts';
import { maxCounted, type Total } from '../storage/page-by-text.ts';
import type { ChainedEvent } from './audit-chain.ts';

export type AuditFilter = {
  actor?: string | undefined;
  action?: string | undefined;
  target?: string | undefined;
  organizationId?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
};

/** Which events of a list a page has. */
export type EventSlice = {
  /** The default is latest first. */
  sort?: 'at' | '-at' | undefined;
  limit: number;
  /** The page begins after this event, which is the last one of the page before. */
  after?: EventPosition | undefined;
  /** The page ends before this event. Its events are returned in reverse. */
  before?: EventPosition | undefined;
};
type EventPosition = { at: Date; seq: number };

const columns = `seq, at, actor, actor_name, address, action, target_type, target, before, after, organization,
  personal IS NOT NULL AND (actor_salt IS NULL OR personal ? 'subject' AND subject_salt IS NULL) AS erased`;

/** @property erased whether personal values were replaced by the text "erased". */
export type RecordedAuditEvent = Row & ChainedEvent & { erased: boolean };

/**
 * Lists events by time; events of the same time by their numbers. Returns one row more than `limit` if there is another
 * page.
 */
export async function listAuditEvents(
  database: Queryable,
  { sort = '-at', limit, after, before, ...filter }: AuditFilter & EventSlice,
): Promise<RecordedAuditEvent[]> {
  const parameters: unknown[] = [];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const conditions = conditionsOf(filter, bind);
  const isDescending = (sort === '-at') === (before === undefined);
  const [direction, operator] = isDescending ? ['DESC', '<'] : ['ASC', '>'];
  const from = before ?? after;
  if (from) conditions.push(`(at, seq) ${operator} (${bind(from.at)}, ${bind(from.seq)}::bigint)`);
  return await database.query<RecordedAuditEvent>(
    `SELECT ${columns} FROM audit_events
     WHERE ${conditions.join(' AND ')} ORDER BY at ${direction}, seq ${direction} LIMIT ${bind(limit + 1)}`,
    parameters,
  );
}

/** Counts the events of all pages of a list, up to 1,000. */
export async function countAuditEvents(database: Queryable, filter: AuditFilter): Promise<Total> {
  const parameters: unknown[] = [];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const conditions = conditionsOf(filter, bind).join(' AND ');
  const [row] = await database.query<{ count: number }>(
    `SELECT count(*) AS count FROM (
       SELECT 1 FROM audit_events WHERE ${conditions} ORDER BY at DESC, seq DESC LIMIT ${bind(maxCounted + 1)}
     ) e`,
    parameters,
  );
  const { count = 0 } = row ?? {};
  return { count: Math.min(count, maxCounted), hasMore: count > maxCounted };
}

function conditionsOf(
  { actor, action, target, organizationId, since, until }: AuditFilter,
  bind: (value: unknown) => string,
): string[] {
  const conditions = ['true'];
  // Add only the requested conditions, so that each can use its index.
  if (actor !== undefined) conditions.push(`actor = ${bind(actor)}`);
  if (action !== undefined) conditions.push(`action = ${bind(action)}`);
  if (target !== undefined) conditions.push(`target = ${bind(target)}`);
  if (organizationId !== undefined) conditions.push(`organization = ${bind(organizationId)}`);
  if (since) conditions.push(`at >= ${bind(since)}`);
  if (until) conditions.push(`at < ${bind(until)}`);
  return conditions;
}

/** Finds the latest events with one of these targets and actions, latest first. @param until ignores later events. */
export async function findLatestEvents(
  database: Queryable,
  { targets, actions, until }: { targets: readonly string[]; actions: readonly string[]; until?: Date | undefined },
): Promise<RecordedAuditEvent[]> {
  return await database.query<RecordedAuditEvent>(
    `SELECT ${columns} FROM audit_events
     WHERE target = ANY ($1::text[]) AND action = ANY ($2::text[]) AND ($3::timestamptz IS NULL OR at <= $3)
     ORDER BY at DESC, seq DESC LIMIT 50`,
    [targets, actions, until ?? null],
  );
}
