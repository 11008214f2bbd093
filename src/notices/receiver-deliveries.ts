import { Conflict } from '../errors.ts';
import type { Queryable, Row, Transaction } from '../storage/database.ts';
import type { NoticeChannel, NoticeReceiver } from './channel.ts';
import type { deliveryStates } from './list-notices.ts';
import type { Notice, NoticeKind } from './notice.ts';
import { keptMs, toNotice } from './notice-store.ts';

/** The delivery of a notice to a receiver that is known. */
export type ReceiverDelivery = {
  notice: Notice;
  position: number;
  state: (typeof deliveryStates)[number];
  attempts: number;
  reason: string | null;
  dueAt: Date;
  settledAt: Date | null;
};

type DeliveryRow = Parameters<typeof toNotice>[0] &
  Row & {
    position: number;
    state: ReceiverDelivery['state'];
    attempts: number;
    reason: string | null;
    due_at: Date;
    settled_at: Date | null;
  };

/** Lists what was or will be delivered to one receiver, the latest first. Returns one row more than `limit`. */
export async function listReceiverDeliveries(
  database: Queryable,
  channel: NoticeChannel['name'],
  receiver: string,
  page: {
    state?: ReceiverDelivery['state'] | undefined;
    limit: number;
    after?: number | undefined;
    before?: number | undefined;
  },
): Promise<ReceiverDelivery[]> {
  const rows = await database.query<DeliveryRow>(
    `SELECT n.*, d.position, d.state, d.attempts, d.reason, d.due_at, d.settled_at
     FROM notice_deliveries d JOIN notices n ON n.id = d.notice
     WHERE d.channel = $1 AND d.receiver = $2 AND ($3::text IS NULL OR d.state = $3)
       AND ($4::bigint IS NULL OR d.position < $4) AND ($5::bigint IS NULL OR d.position > $5)
     ORDER BY d.position ${page.before === undefined ? 'DESC' : 'ASC'} LIMIT $6`,
    [channel, receiver, page.state ?? null, page.after ?? null, page.before ?? null, page.limit + 1],
  );
  return rows.map((row) => ({
    notice: toNotice(row),
    position: row.position,
    state: row.state,
    attempts: row.attempts,
    reason: row.reason,
    dueAt: row.due_at,
    settledAt: row.settled_at,
  }));
}

const maxReplayed = 10_000;

/** Selects notices whose receivers were determined: since $1, of the kinds in $2, about organization $3. Null: any. */
const selected = `n.addressed AND n.at >= $1 AND ($2::text[] IS NULL OR n.kind = ANY ($2)) AND ($3::uuid IS NULL OR n.organization = $3)`;

/**
 * Delivers notices to a receiver again, in their order and with the same ids, also those that it did not receive then.
 * @param filter.organizationId null for notices about all organizations.
 * @returns their number.
 * @throws {Conflict} `too_many_notices`
 */
export async function replayDeliveries(
  transaction: Transaction,
  channel: NoticeChannel['name'],
  receiver: NoticeReceiver,
  filter: { since: Date; kinds: readonly NoticeKind[] | null; organizationId: string | null },
  at: Date,
): Promise<number> {
  const { since, kinds, organizationId } = filter;
  const chosen = [since, kinds, organizationId];
  const [found] = await transaction.query<{ count: number }>(
    `SELECT count(*) AS count FROM (SELECT 1 FROM notices n WHERE ${selected} LIMIT ${maxReplayed + 1}) AS found`,
    chosen,
  );
  const count = found?.count ?? 0;
  if (count > maxReplayed) {
    throw new Conflict('too_many_notices', `These are more than ${maxReplayed} notices. Choose a later time.`);
  }
  if (count === 0) return 0;
  // The lock of the receiver comes before that of its deliveries, as in every delivery.
  await transaction.query(
    `INSERT INTO notice_receivers (channel, receiver, organization, name, next_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (channel, receiver) DO UPDATE SET next_at = $5, expires_at = $6, attempts = 0, failing_since = NULL`,
    [channel, receiver.id, receiver.organizationId, receiver.name, at, new Date(at.getTime() + keptMs)],
  );
  await transaction.query(
    `DELETE FROM notice_deliveries d USING notices n
     WHERE d.channel = $4 AND d.receiver = $5 AND n.id = d.notice AND ${selected}`,
    [...chosen, channel, receiver.id],
  );
  await transaction.query(
    `INSERT INTO notice_deliveries (notice, channel, receiver, organization, thing, due_at)
     SELECT n.id, $4, $5, $6, n.thing, $7 FROM notices n WHERE ${selected} ORDER BY n.seq`,
    [...chosen, channel, receiver.id, receiver.organizationId, at],
  );
  return count;
}
