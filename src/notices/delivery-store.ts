import { randomInt, randomUUID } from 'node:crypto';
import type { Database, Row, Transaction } from '../storage/database.ts';
import type { DeliveryOutcome, NoticeChannel, NoticeReceiver } from './channel.ts';
import type { Notice, NoticeKind } from './notice.ts';
import { keptMs, takeNew } from './notice-store.ts';
import { findEnabledKinds, findSwitches } from './switches.ts';

/** Number of notices whose deliveries are determined in one transaction. */
const addressedAtOnce = 100;
/** Key of the lock under which deliveries are determined, so that their order is that of the notices. */
const addressingLock = 7_319_001;
/** Time after the first attempt until which a delivery is repeated. */
const persistMs = 3 * 86_400_000;
const firstPauseMs = 30_000;
const longestPauseMs = 4 * 3_600_000;

/**
 * Determines the receivers of new notices. Several processes can call it; one at a time does it.
 * @returns whether more may be left.
 */
export async function addressNotices(
  database: Database,
  channels: readonly NoticeChannel[],
  now: number,
): Promise<boolean> {
  if ((await database.query('SELECT 1 FROM notices WHERE NOT addressed LIMIT 1')).length === 0) return false;
  return await database.transaction(async (transaction) => {
    const [lock] = await transaction.query<{ taken: boolean }>('SELECT pg_try_advisory_xact_lock($1) AS taken', [
      addressingLock,
    ]);
    if (!lock?.taken) return false;
    const notices = await takeNew(transaction, addressedAtOnce);
    const enabledIn = new Map<string, ReadonlySet<NoticeKind>>();
    for (const notice of notices) {
      const { organizationId } = notice;
      const enabled =
        enabledIn.get(organizationId) ?? (await findEnabledKinds(transaction, { organizationId, receiver: null }));
      enabledIn.set(organizationId, enabled);
      for (const channel of channels) {
        for (const receiver of await channel.findReceivers(transaction, notice)) {
          // The setting of a person wins, also over one of the organization that switches the kind off.
          if (!enabled.has(notice.kind) && !(await wants(transaction, receiver, notice.kind))) continue;
          await insertDelivery(transaction, channel, receiver, notice, now);
        }
      }
    }
    return notices.length === addressedAtOnce;
  });
}

/** Returns whether a receiver has switched a kind on. */
async function wants(
  transaction: Transaction,
  { organizationId, id: receiver }: NoticeReceiver,
  kind: NoticeKind,
): Promise<boolean> {
  return (await findSwitches(transaction, { organizationId, receiver })).get(kind) === true;
}

async function insertDelivery(
  transaction: Transaction,
  { name: channel, collectMs, quietMs }: NoticeChannel,
  receiver: NoticeReceiver,
  notice: Notice,
  now: number,
): Promise<void> {
  const rows = await transaction.query<{ due_at: Date }>(
    `INSERT INTO notice_deliveries (notice, channel, receiver, organization, thing, due_at)
     VALUES ($1, $2, $3, $4, $5, greatest($6::timestamptz, (
       SELECT max(settled_at) + $7 * interval '1 millisecond' FROM notice_deliveries
       WHERE channel = $2 AND receiver = $3 AND thing = $5 AND state = 'delivered' AND $7 > 0
     ))) ON CONFLICT (notice, channel, receiver) DO NOTHING RETURNING due_at`,
    [notice.id, channel, receiver.id, receiver.organizationId, notice.thing, new Date(now + collectMs), quietMs],
  );
  if (!rows[0]) return;
  // While a receiver fails, its pause stays as it is.
  await transaction.query(
    `INSERT INTO notice_receivers AS r (channel, receiver, organization, name, next_at, expires_at)
     VALUES ($1, $2, $3, $4, $5, $6)
     ON CONFLICT (channel, receiver) DO UPDATE SET organization = excluded.organization, name = excluded.name,
       expires_at = excluded.expires_at,
       next_at = CASE WHEN r.attempts > 0 AND r.next_at < 'infinity' THEN r.next_at ELSE least(r.next_at, excluded.next_at) END`,
    [channel, receiver.id, receiver.organizationId, receiver.name, rows[0].due_at, new Date(now + keptMs)],
  );
}

/** Notices that this process alone may deliver to a receiver until its lease ends. */
export type Claim = { channel: NoticeChannel; receiver: string; lease: string; batch: string; notices: string[] };

type ReceiverRow = Row & { channel: NoticeChannel['name']; receiver: string };

/**
 * Leases the receiver that is due first, with the notices to deliver to it. The lease ends by the database's clock, so
 * that another process continues if this one is killed.
 * @param now decides what is due.
 * @returns undefined if nothing is due.
 */
export async function claimDeliveries(
  database: Database,
  channels: readonly NoticeChannel[],
  now: number,
  leaseMs: number,
): Promise<Claim | undefined> {
  for (;;) {
    const claim = await database.transaction((transaction) => claimNext(transaction, channels, now, leaseMs));
    if (claim !== 'nothing pending') return claim;
  }
}

async function claimNext(
  transaction: Transaction,
  channels: readonly NoticeChannel[],
  now: number,
  leaseMs: number,
): Promise<Claim | 'nothing pending' | undefined> {
  const [row] = await transaction.query<ReceiverRow>(
    `SELECT channel, receiver FROM notice_receivers
     WHERE next_at <= $1 AND next_at < 'infinity' AND leased_until <= clock_timestamp() AND channel = ANY ($2::text[])
     ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED`,
    [new Date(now), channels.map(({ name }) => name)],
  );
  const channel = channels.find(({ name }) => name === row?.channel);
  if (!row || !channel) return undefined;
  const { receiver } = row;
  const due = await transaction.query<{ notice: string; batch: string | null }>(
    `SELECT notice, batch FROM notice_deliveries
     WHERE channel = $1 AND receiver = $2 AND state = 'pending' AND due_at <= $3 ORDER BY position LIMIT $4`,
    [channel.name, receiver, new Date(now + channel.collectMs), channel.batchSize],
  );
  const [first] = due;
  if (!first) {
    await transaction.query(`UPDATE notice_receivers SET next_at = ${nextDue} WHERE channel = $1 AND receiver = $2`, [
      channel.name,
      receiver,
    ]);
    return 'nothing pending';
  }
  // A batch whose delivery has an unknown result is repeated as it was.
  const notices = due.filter(({ batch }) => batch === first.batch).map(({ notice }) => notice);
  const [lease, batch] = [randomUUID(), first.batch ?? first.notice];
  await transaction.query(
    `UPDATE notice_deliveries SET batch = $4 WHERE channel = $1 AND receiver = $2 AND notice = ANY ($3::uuid[])`,
    [channel.name, receiver, notices, batch],
  );
  await transaction.query(
    `UPDATE notice_receivers SET lease = $3, leased_until = clock_timestamp() + $4 * interval '1 millisecond'
     WHERE channel = $1 AND receiver = $2`,
    [channel.name, receiver, lease, leaseMs],
  );
  return { channel, receiver, lease, batch, notices };
}

/** When the next notice of the receiver in $1 and $2 is due. */
const nextDue = `coalesce((
  SELECT min(due_at) FROM notice_deliveries WHERE channel = $1 AND receiver = $2 AND state = 'pending'), 'infinity')`;

/**
 * Records the results of an attempt, and ends the lease.
 * @param outcomes one for each notice; undefined for those that were not tried.
 */
export async function settleDeliveries(
  database: Database,
  { channel, receiver, lease, notices }: Claim,
  outcomes: readonly (DeliveryOutcome | undefined)[],
  now: number,
): Promise<void> {
  const results = notices.flatMap((notice, index) => {
    const outcome = outcomes[index];
    return outcome ? [{ notice, outcome }] : [];
  });
  const retried = results.find(({ outcome }) => outcome.as === 'retry')?.outcome;
  const isUnknown = retried?.as === 'retry' && retried.isUnknown === true;
  const isDelivered = results.some(({ outcome }) => outcome.as === 'delivered');
  const at = new Date(now);
  const target = [channel.name, receiver] as const;
  await database.transaction(async (transaction) => {
    // A statement of its own: the later ones then see what others have committed before this lock.
    await transaction.query('SELECT 1 FROM notice_receivers WHERE channel = $1 AND receiver = $2 FOR UPDATE', target);
    await transaction.query(
      `UPDATE notice_deliveries d SET attempts = attempts + 1, reason = o.reason,
         state = CASE o.state WHEN 'retry' THEN 'pending' ELSE o.state END,
         settled_at = CASE WHEN o.state <> 'retry' THEN $6::timestamptz END
       FROM unnest($3::uuid[], $4::text[], $5::text[]) AS o (notice, state, reason)
       WHERE channel = $1 AND receiver = $2 AND d.notice = o.notice AND d.state = 'pending'`,
      [
        ...target,
        results.map(({ notice }) => notice),
        results.map(({ outcome }) => outcome.as),
        results.map(({ outcome }) => ('reason' in outcome ? outcome.reason : null)),
        at,
      ],
    );
    if (!isUnknown) {
      await transaction.query(
        `UPDATE notice_deliveries SET batch = NULL
         WHERE channel = $1 AND receiver = $2 AND notice = ANY ($3::uuid[]) AND state = 'pending'`,
        [...target, notices],
      );
    }
    if (isDelivered && channel.quietMs > 0) {
      await transaction.query(
        `UPDATE notice_deliveries SET due_at = greatest(due_at, $3)
         WHERE channel = $1 AND receiver = $2 AND state = 'pending' AND thing IN (
           SELECT thing FROM notice_deliveries
           WHERE channel = $1 AND receiver = $2 AND notice = ANY ($4::uuid[]) AND state = 'delivered')`,
        [...target, new Date(now + channel.quietMs), notices],
      );
    }
    if (retried?.as === 'retry') await parkOld(transaction, target, retried.reason, at);
    const isFailed = retried !== undefined || results.length === 0;
    await endLease(transaction, target, lease, { at, isFailed, isDelivered });
  });
}

/** Parks what could not be delivered for three days: what was tried in that time, or everything while nothing works. */
async function parkOld(
  transaction: Transaction,
  target: readonly [string, string],
  reason: string,
  at: Date,
): Promise<void> {
  const since = new Date(at.getTime() - persistMs);
  await transaction.query(
    `UPDATE notice_deliveries d SET state = 'parked', settled_at = $4, reason = coalesce(d.reason, $3)
     FROM notice_receivers r
     WHERE d.channel = $1 AND d.receiver = $2 AND d.state = 'pending' AND d.due_at <= $5
       AND r.channel = $1 AND r.receiver = $2 AND (d.attempts > 1 OR r.failing_since <= $5)`,
    [...target, reason, at, since],
  );
}

async function endLease(
  transaction: Transaction,
  target: readonly [string, string],
  lease: string,
  { at, isFailed, isDelivered }: { at: Date; isFailed: boolean; isDelivered: boolean },
): Promise<void> {
  // If the lease has ended, another process has the receiver and decides what follows.
  const [row] = await transaction.query<{ attempts: number }>(
    'SELECT attempts FROM notice_receivers WHERE channel = $1 AND receiver = $2 AND lease = $3',
    [...target, lease],
  );
  if (!row) return;
  const attempts = isFailed ? (isDelivered ? 1 : row.attempts + 1) : 0;
  await transaction.query(
    `UPDATE notice_receivers SET lease = NULL, leased_until = '-infinity', attempts = $3,
       failing_since = CASE WHEN $4 THEN coalesce(failing_since, $5) END, next_at = greatest(${nextDue}, $6)
     WHERE channel = $1 AND receiver = $2`,
    [...target, attempts, isFailed && !isDelivered, at, new Date(at.getTime() + pauseMs(attempts))],
  );
}

/** Returns the pause after failed attempts: exponential, with jitter, so that many receivers are not tried at once. */
function pauseMs(attempts: number): number {
  if (attempts === 0) return 0;
  const pause = Math.min(longestPauseMs, firstPauseMs * 2 ** (attempts - 1));
  return Math.round((pause * randomInt(75, 126)) / 100);
}
