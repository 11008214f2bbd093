import { randomUUID } from 'node:crypto';
import { Conflict, NotFound } from '../errors.ts';
import type { Database, Queryable, Row, Transaction } from '../storage/database.ts';

/** The position of a target, which this process alone may advance until the lease ends. */
export type StreamClaim = { name: string; seq: number; mac: Uint8Array; attempts: number; lease: string };

export async function registerStreams(database: Queryable, names: readonly string[]): Promise<void> {
  await database.query('INSERT INTO audit_streams (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING', [
    names,
  ]);
}

/**
 * Leases a target that has events to receive. The lease ends by the database's clock, so that another process continues
 * if this one is killed.
 * @param now decides whether a pause after a failure is over.
 */
export async function claimStream(
  database: Database,
  name: string,
  now: Date,
  leaseMs: number,
): Promise<StreamClaim | undefined> {
  const [row] = await database.query<Row & StreamClaim>(
    // A new target begins after the archived events.
    `UPDATE audit_streams s SET lease = $2, leased_until = clock_timestamp() + $3 * interval '1 millisecond',
       seq = greatest(s.seq, a.seq), mac = CASE WHEN a.seq > s.seq THEN a.mac ELSE s.mac END
     FROM (SELECT 0::bigint AS seq, ''::bytea AS mac UNION ALL SELECT last_seq, mac FROM audit_archives ORDER BY seq DESC LIMIT 1) a
     WHERE name = $1 AND next_at <= $4 AND leased_until <= clock_timestamp() AND s.seq < (SELECT seq FROM audit_anchor)
     RETURNING s.name, s.seq, s.mac, attempts, lease`,
    [name, randomUUID(), leaseMs, now],
  );
  return row;
}

/** Advances a target and ends the lease. Does nothing if the lease belongs to another process by now. */
export async function advanceStream(
  database: Queryable,
  { name, lease }: StreamClaim,
  last: { seq: number; mac: Uint8Array },
  at: Date,
): Promise<void> {
  await database.query(
    `UPDATE audit_streams SET seq = $3, mac = $4, last_success_at = $5, attempts = 0, failing_since = NULL, lease = NULL,
       leased_until = '-infinity' WHERE name = $1 AND lease = $2`,
    [name, lease, last.seq, last.mac, at],
  );
}

/** Records a failure and the time of the next attempt, and ends the lease. */
export async function delayStream(
  database: Queryable,
  { name, lease }: StreamClaim,
  failure: { reason: string; at: Date; nextAt: Date },
): Promise<void> {
  await database.query(
    `UPDATE audit_streams SET attempts = attempts + 1, failing_since = coalesce(failing_since, $3), last_failure = $4,
       next_at = $5, lease = NULL, leased_until = '-infinity' WHERE name = $1 AND lease = $2`,
    [name, lease, failure.at, failure.reason, failure.nextAt],
  );
}

/** How far a target is behind the end of the log. */
export type StreamLag = {
  name: string;
  /** Number of events that it has not accepted. */
  events: number;
  /** The time of the oldest of them; null if there is none. */
  since: Date | null;
};

export async function findStreamLags(database: Queryable, targets: readonly { name: string }[]): Promise<StreamLag[]> {
  if (targets.length === 0) return [];
  return await database.query<Row & StreamLag>(
    // A target has no row before the first attempt.
    `SELECT n.name, a.seq - greatest(s.seq, (SELECT max(last_seq) FROM audit_archives), 0) AS events,
       (SELECT at FROM audit_events WHERE seq > coalesce(s.seq, 0) ORDER BY seq LIMIT 1) AS since
     FROM unnest($1::text[]) AS n (name) LEFT JOIN audit_streams s USING (name) CROSS JOIN audit_anchor a ORDER BY n.name`,
    [targets.map(({ name }) => name)],
  );
}

/**
 * Requires that every target has accepted the events up to one of them.
 * @param streams the targets in this process's configuration, which may have no row yet.
 * @param forget targets that are ignored.
 * @throws {Conflict} with the name of one that has not.
 */
export async function requireDelivered(
  database: Queryable,
  { until, streams, forget }: { until: number; streams: readonly string[]; forget: readonly string[] },
): Promise<void> {
  const [behind] = await database.query<{ name: string; seq: number }>(
    `SELECT name, coalesce(s.seq, 0) AS seq FROM unnest($1::text[]) AS n (name) FULL JOIN audit_streams s USING (name)
     WHERE coalesce(s.seq, 0) < $2 AND name <> ALL ($3::text[]) ORDER BY name LIMIT 1`,
    [streams, until, forget],
  );
  if (!behind) return;
  throw new Conflict(
    'stream_behind',
    `The receiver ${behind.name} has accepted the audit log only up to event ${behind.seq}, not up to ${until}. Wait for it, or, if it is not used any more, use --forget-stream ${behind.name}. Nothing was deleted.`,
  );
}

/** Deletes the positions of targets that are not used any more. @throws {NotFound} if one does not exist. */
export async function forgetStreams(transaction: Transaction, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const deleted = await transaction.query('DELETE FROM audit_streams WHERE name = $1 RETURNING name', [name]);
    if (deleted.length === 0) throw new NotFound(`receiver ${name}`);
  }
}
