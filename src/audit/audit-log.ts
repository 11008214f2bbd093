import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { ChainedEvent } from './audit-chain.ts';
import { pendingEventsOf } from './audited-transaction.ts';

/** Who does something: an operator over HTTP, whoever runs the command line, or Keyturn itself. */
export type Actor = { id: string; name: string; address: string | null };

export type AuditEvent = {
  at: Date;
  actor: Actor;
  /** `noun.verb`, for example `client.disable`. */
  action: string;
  targetType:
    | 'client'
    | 'contact'
    | 'access_key'
    | 'operator_token'
    | 'signing_key'
    | 'root_key'
    | 'token'
    | 'deployment'
    | 'address';
  target: string;
  /** The state that was, and the one that is; whatever JSON can hold. */
  before?: Record<string, unknown>;
  after?: Record<string, unknown>;
};

/**
 * Appends in the change's own transaction: both are there, or neither. It is written last, just before the commit. What is handed over
 * must hold no secret.
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
  /** Only events with a smaller number: the last one of the page before. */
  before?: number | undefined;
};

export type RecordedAuditEvent = Row & ChainedEvent;

/** Newest first. One row more than `limit` says that there is another page. */
export async function listAuditEvents(database: Queryable, filter: AuditFilter): Promise<RecordedAuditEvent[]> {
  return await database.query<RecordedAuditEvent>(
    `SELECT seq, at, actor, actor_name, address, action, target_type, target, before, after FROM audit_events
     WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR target = $3)
       AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
       AND ($6::bigint IS NULL OR seq < $6)
     ORDER BY seq DESC LIMIT $7`,
    [
      filter.actor ?? null,
      filter.action ?? null,
      filter.target ?? null,
      filter.since ?? null,
      filter.until ?? null,
      filter.before ?? null,
      filter.limit + 1,
    ],
  );
}
