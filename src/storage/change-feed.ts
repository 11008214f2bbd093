import { StoreUnavailable } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Database, Transaction } from './database.ts';
import { withDeadline } from './with-deadline.ts';

export type ChangeKind = 'client' | 'resource_servers' | 'access_key' | 'token' | 'signing_keys' | 'foreign_client_ids';

/** Something that other processes may have cached is no longer what it was. */
export type Change = { seq: number; kind: ChangeKind; target: string; expiresAt: Date; position: FeedPosition };

/** Up to where somebody has been told: every transaction below it. What is told again from there on may repeat, but lacks nothing. */
type FeedPosition = string;

/** With announcements, a change is known in milliseconds; without them, within this time. */
const pollEveryMs = 1_000;
/** After so long without an answer from the database, what is cached counts as stale. */
const freshForMs = 5_000;
/** So long a poll is waited for: the next one may get through on another connection. */
const pollTimeoutMs = 2_000;
/** More than so many are not told one by one to whoever comes back: to forget everything costs less. */
const maxMissed = 1_000;
/** How long a change stays readable for a process or listener that comes back. */
const keptMs = 24 * 3_600_000;

/** When the server started, in microseconds: so a promoted standby is told from the primary that it was a copy of. */
const serverSql = '(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text';

/**
 * Records in the change's own transaction that `target` changed. Committed together, so nobody learns of what did not happen.
 * @param expiresAt until when the row must be kept; for a revoked token, the token's own end.
 */
export async function recordChange(
  transaction: Transaction,
  change: { kind: ChangeKind; target: string; at: Date; expiresAt?: Date },
): Promise<void> {
  await transaction.query('INSERT INTO changes (kind, target, at, expires_at) VALUES ($1, $2, $3, $4)', [
    change.kind,
    change.target,
    change.at,
    change.expiresAt ?? new Date(change.at.getTime() + keptMs),
  ]);
}

/** The same of many at once, in one statement. */
export async function recordChanges(
  transaction: Transaction,
  changes: readonly { kind: ChangeKind; target: string }[],
  at: Date,
): Promise<void> {
  await transaction.query(
    `INSERT INTO changes (kind, target, at, expires_at)
     SELECT c.kind, c.target, $3, $4 FROM unnest($1::text[], $2::text[]) AS c (kind, target)`,
    [changes.map(({ kind }) => kind), changes.map(({ target }) => target), at, new Date(at.getTime() + keptMs)],
  );
}

/**
 * Gives every change this transaction's id. In a database that was restored they carry those of the server before, which
 * mean another order here.
 */
export async function restampChanges(transaction: Transaction): Promise<void> {
  await transaction.query('UPDATE changes SET xact = pg_current_xact_id()');
}

/**
 * Follows every change that any process commits, in each process once.
 *
 * Rows carry their transaction's id. A poll remembers the oldest transaction that was still open and the next one reads
 * from there, so a row that commits late is never skipped; rows read twice are told once. After a crash the ids of transactions that left
 * nothing are used again: so what has a higher number than anything told is read as well.
 */
export type ChangeFeed = {
  /**
   * To be called before `start`, or what is already revoked is missed.
   * @param onReset another server took over, and anything may be different from what was told.
   */
  subscribe(onChange: (change: Change) => void, onReset?: () => void): void;
  /** Tells what still counts (revoked tokens that have not ended), then follows. */
  start(): Promise<void>;
  /** Reads now; resolved once everything committed before the call has been told to the subscribers of this process. */
  sync(): Promise<void>;
  /** Where somebody stands who has been told everything until now. */
  position(): FeedPosition;
  /** What was committed after a position; undefined when that cannot be told any more or is too much, and everything may have changed. */
  since(position: FeedPosition): Promise<Change[] | undefined>;
  /**
   * Throws when what is cached may no longer serve: the database does not answer, and has not for `staleSeconds`.
   * @throws {StoreUnavailable}
   */
  requireFresh(): void;
  /** Milliseconds since everything committed was last known to be told. */
  lagMs(): number;
  close(): Promise<void>;
};

export function createChangeFeed(deps: { database: Database; log: Log; staleSeconds: number }): ChangeFeed {
  const { database, log, staleSeconds } = deps;
  const subscribers: ((change: Change) => void)[] = [];
  const resets: (() => void)[] = [];
  let fromTransaction = '0';
  let fromSeq = 0;
  let server: string | undefined;
  let told = new Set<number>();
  let syncedAt = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  let failing = false;

  async function poll(): Promise<void> {
    const startedAt = performance.now();
    const answer = database.query<ChangeRow & { latest: number | null; standby: boolean }>(
      `SELECT c.seq, c.kind, c.target, c.expires_at, s.horizon, s.server, s.latest, pg_is_in_recovery() AS standby
       FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, ${serverSql} AS server,
         (SELECT max(seq) FROM changes) AS latest) s
       LEFT JOIN changes c ON (c.xact >= $1::text::xid8 OR c.seq > $2)
         AND ($1::text <> '0' OR (c.kind = 'token' AND c.expires_at > now()))
       ORDER BY c.seq`,
      [fromTransaction, fromSeq],
    );
    const rows = await withDeadline(answer, 'database', pollTimeoutMs);
    const [first] = rows;
    if (!first || first.standby) throw new StoreUnavailable('database', 'a standby knows what changed only later');
    if (server !== undefined && server !== first.server) {
      // Another server, or the same after a restart: it may lack what was told, and use its transaction ids again for something else.
      log.warn('the database is another one, or has restarted: everything known of it is forgotten');
      server = first.server;
      fromTransaction = '0';
      fromSeq = 0;
      told = new Set();
      for (const reset of resets) reset();
      return await poll();
    }
    server = first.server;
    const seen = new Set<number>();
    for (const row of rows) {
      if (row.seq === null) continue;
      seen.add(row.seq);
      if (told.has(row.seq)) continue;
      const change = toChange(row);
      for (const subscriber of subscribers) subscriber(change);
    }
    told = seen;
    fromTransaction = first.horizon;
    fromSeq = Math.max(fromSeq, first.latest ?? 0);
    syncedAt = startedAt;
    if (failing) log.info('changes are followed again');
    failing = false;
  }

  /** At most one poll runs and one waits: who asks while one runs needs the one after it. */
  function sync(): Promise<void> {
    if (!running) {
      running = poll().finally(() => {
        running = undefined;
      });
      return running;
    }
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = undefined;
        return sync();
      });
    return next;
  }

  function syncQuietly(): void {
    sync().catch((error: Error) => {
      if (!failing) log.warn({ error: error.message }, 'changes cannot be followed');
      failing = true;
    });
  }

  let timer: NodeJS.Timeout | undefined;
  let unlisten: (() => Promise<void>) | undefined;

  return {
    start: async () => {
      await sync();
      timer = setInterval(syncQuietly, pollEveryMs);
      timer.unref();
      unlisten = await database.listen('keyturn_changes', syncQuietly);
    },
    subscribe: (onChange, onReset) => {
      subscribers.push(onChange);
      if (onReset) resets.push(onReset);
    },
    sync,
    requireFresh: () => {
      const lag = performance.now() - syncedAt;
      const allowedMs = staleSeconds * 1_000;
      if (lag > (failing ? allowedMs : Math.max(allowedMs, freshForMs)))
        throw new StoreUnavailable('database', `changes unknown for ${Math.round(lag)} ms`);
    },
    position: () => `${fromTransaction}.${server}`,
    since: async (position) => {
      const [, transaction, ofServer] = /^(\d{1,19})\.(\d{1,19})$/.exec(position) ?? [];
      if (!transaction) return undefined;
      const rows = await database.query<ChangeRow>(
        `SELECT c.seq, c.kind, c.target, c.expires_at, s.horizon, s.server
         FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, ${serverSql} AS server,
           (SELECT min(xact) FROM changes) AS oldest) s
         LEFT JOIN changes c ON c.xact >= $1::text::xid8
         WHERE coalesce(s.oldest <= $1::text::xid8, true) AND $1::text::xid8 <= pg_snapshot_xmax(pg_current_snapshot())
           AND s.server = $3
         ORDER BY c.seq LIMIT $2`,
        [transaction, maxMissed + 1, ofServer],
      );
      return rows.length === 0 || rows.length > maxMissed
        ? undefined
        : rows.filter(({ seq }) => seq !== null).map(toChange);
    },
    lagMs: () => performance.now() - syncedAt,
    close: async () => {
      clearInterval(timer);
      await unlisten?.();
      await (next ?? running)?.catch(() => undefined);
    },
  };
}

type ChangeRow = { seq: number; kind: ChangeKind; target: string; expires_at: Date; horizon: string; server: string };

function toChange({ seq, kind, target, expires_at: expiresAt, horizon, server }: ChangeRow): Change {
  return { seq, kind, target, expiresAt, position: `${horizon}.${server}` };
}
