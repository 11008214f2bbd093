import { Conflict, NotFound } from '../errors.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { Notice, NoticeKind } from './notice.ts';
import { toNotice } from './notice-store.ts';

export const deliveryStates = ['pending', 'delivered', 'skipped', 'parked'] as const;
type DeliveryState = (typeof deliveryStates)[number];

/** A delivery of a notice to one receiver. */
type Delivery = {
  channel: string;
  receiver: string;
  receiverName: string;
  state: DeliveryState;
  attempts: number;
  /** Reason of the last failure, or why it was skipped. */
  reason: string | null;
  /** When it is tried next; null if it is not. */
  nextAt: Date | null;
  /** When it was delivered, skipped or parked. */
  settledAt: Date | null;
};

export type ListedNotice = Notice & { seq: number; deliveries: Delivery[] };

type NoticeFilter = {
  kind?: NoticeKind | undefined;
  /** Only notices with a delivery in this state. */
  state?: DeliveryState | undefined;
  /** The Client ID or the id of the thing. */
  subject?: string | undefined;
  organizationId?: string | undefined;
};

type Slice = { limit: number; after?: number | undefined; before?: number | undefined };

/** Lists notices, newest first. Returns one row more than `limit` if there is another page. */
export async function listNotices(database: Queryable, filter: NoticeFilter & Slice): Promise<ListedNotice[]> {
  const parameters: unknown[] = [];
  const bind = (value: unknown) => `$${parameters.push(value)}`;
  const conditions = ['true'];
  if (filter.kind) conditions.push(`kind = ${bind(filter.kind)}`);
  if (filter.subject) conditions.push(`subject_id = ${bind(filter.subject)}`);
  if (filter.organizationId) conditions.push(`organization = ${bind(filter.organizationId)}`);
  if (filter.state) {
    conditions.push(`EXISTS (SELECT FROM notice_deliveries WHERE notice = n.id AND state = ${bind(filter.state)})`);
  }
  if (filter.after !== undefined) conditions.push(`seq < ${bind(filter.after)}::bigint`);
  if (filter.before !== undefined) conditions.push(`seq > ${bind(filter.before)}::bigint`);
  const rows = await database.query<NoticeRow>(
    `SELECT * FROM notices n WHERE ${conditions.join(' AND ')}
     ORDER BY seq ${filter.before === undefined ? 'DESC' : 'ASC'} LIMIT ${bind(filter.limit + 1)}`,
    parameters,
  );
  return await withDeliveries(database, rows);
}

/** @throws {NotFound} */
export async function requireNotice(database: Queryable, id: string): Promise<ListedNotice> {
  const rows = await database.query<NoticeRow>('SELECT * FROM notices WHERE id = $1', [id]);
  const [notice] = await withDeliveries(database, rows);
  if (!notice) throw new NotFound('notice');
  return notice;
}

/**
 * Tries the parked deliveries of a notice again.
 * @throws {NotFound}
 * @throws {Conflict} `nothing_parked`
 */
export async function retryNotice(transaction: Transaction, id: string, at: Date): Promise<ListedNotice> {
  await requireNotice(transaction, id);
  const retried = await transaction.query<{ channel: string; receiver: string }>(
    `UPDATE notice_deliveries SET state = 'pending', settled_at = NULL, attempts = 0, batch = NULL, due_at = $2
     WHERE notice = $1 AND state = 'parked' RETURNING channel, receiver`,
    [id, at],
  );
  if (retried.length === 0) throw new Conflict('nothing_parked', 'No delivery of this notice is parked.');
  await transaction.query(
    `UPDATE notice_receivers SET next_at = $3, attempts = 0, failing_since = NULL
     WHERE (channel, receiver) IN (SELECT * FROM unnest($1::text[], $2::text[]))`,
    [retried.map(({ channel }) => channel), retried.map(({ receiver }) => receiver), at],
  );
  return await requireNotice(transaction, id);
}

type NoticeRow = Parameters<typeof toNotice>[0];

type DeliveryRow = Row & {
  notice: string;
  channel: string;
  receiver: string;
  name: string | null;
  state: DeliveryState;
  attempts: number;
  reason: string | null;
  next_at: Date | null;
  settled_at: Date | null;
};

async function withDeliveries(database: Queryable, rows: readonly NoticeRow[]): Promise<ListedNotice[]> {
  if (rows.length === 0) return [];
  const deliveries = await database.query<DeliveryRow>(
    `SELECT d.notice, d.channel, d.receiver, r.name, d.state, d.attempts, d.reason, d.settled_at,
       CASE WHEN d.state = 'pending' THEN greatest(d.due_at, CASE WHEN r.next_at < 'infinity' THEN r.next_at END) END AS next_at
     FROM notice_deliveries d LEFT JOIN notice_receivers r ON r.channel = d.channel AND r.receiver = d.receiver
     WHERE d.notice = ANY ($1::uuid[]) ORDER BY d.position`,
    [rows.map(({ id }) => id)],
  );
  const of = Map.groupBy(deliveries, ({ notice }) => notice);
  return rows.map((row) => ({
    ...toNotice(row),
    seq: row.seq,
    deliveries: (of.get(row.id) ?? []).map((each) => ({
      channel: each.channel,
      receiver: each.receiver,
      receiverName: each.name ?? each.receiver,
      state: each.state,
      attempts: each.attempts,
      reason: each.reason,
      nextAt: each.next_at,
      settledAt: each.settled_at,
    })),
  }));
}
