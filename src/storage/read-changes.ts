import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailable } from '../errors.ts';
import type { CommittedChange, RevokedTokens } from './change.ts';
import type { Database } from './database.ts';
import { withDeadline } from './with-deadline.ts';

/** Rows ordered by number. @property databaseTime when they were read, in milliseconds since the epoch. */
export type ChangePage = { server: string; databaseTime: number; rows: CommittedChange[]; isLast: boolean };

/** A page of the revoked tokens. `below` is the highest number of the next page. */
export type RevokedPage = { server: string; below: number | undefined; revoked: RevokedTokens | undefined };

const timeoutMs = 2_000;
const lookAgainMs = 10;
const pageSize = 1_000;
/** Rows per page of revoked tokens: about 20 ms of work for a process and for the database. */
const revokedPageSize = 10_000;

/** The start time of the server in microseconds, which distinguishes a promoted standby from its primary. */
const serverSql = '(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text';

export type ChangeReader = ReturnType<typeof createChangeReader>;

/**
 * Creates the statements of the change feed. Each is limited in rows and time, so each can be repeated independently.
 */
export function createChangeReader(database: Database) {
  async function read<R extends object>(sql: string, parameters: readonly unknown[] = []): Promise<R[]> {
    return await withDeadline(database.query<R & Record<string, unknown>>(sql, parameters), 'database', timeoutMs);
  }

  async function readServer<R extends object>(sql: string, parameters: readonly unknown[]) {
    const rows = await read<R & { server: string; standby: boolean }>(sql, parameters);
    const [first] = rows;
    if (!first || first.standby)
      throw new StoreUnavailable('database', 'the server is a standby, which receives changes late');
    return { server: first.server, first, rows };
  }

  /**
   * Returns the open transactions that may have written changes. An INSERT locks the table before it takes a number, and
   * keeps the lock until its rows are visible or rolled back. Transactions in other databases of the cluster are ignored.
   */
  async function writers(): Promise<Set<string>> {
    const rows = await read<{ writer: string }>(
      `SELECT DISTINCT virtualtransaction AS writer FROM pg_locks
       WHERE locktype = 'relation' AND relation = 'changes'::regclass AND mode = 'RowExclusiveLock' AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    );
    return new Set(rows.map(({ writer }) => writer));
  }

  return {
    /** Returns the highest visible number. */
    latest: async (): Promise<{ server: string; latest: number }> => {
      const { server, first } = await readServer<{ latest: number }>(
        `SELECT ${serverSql} AS server, pg_is_in_recovery() AS standby,
           (SELECT coalesce(max(seq), 0) FROM changes) AS latest`,
        [],
      );
      return { server, latest: first.latest };
    },
    after: async (seq: number): Promise<ChangePage> => {
      const { server, first, rows } = await readServer<(CommittedChange | { seq: null }) & { time: Date }>(
        `SELECT c.seq, c.kind, c.target, c.expires_at AS "expiresAt", ${serverSql} AS server, pg_is_in_recovery() AS standby,
           clock_timestamp() AS time
         FROM (SELECT 1) one LEFT JOIN
           (SELECT * FROM changes WHERE seq > $1 ORDER BY seq LIMIT ${pageSize}) c ON true
         ORDER BY c.seq`,
        [seq],
      );
      const changes = rows.filter((row) => row.seq !== null) as CommittedChange[];
      return { server, databaseTime: first.time.getTime(), rows: changes, isLast: rows.length < pageSize };
    },
    /** Reads the rows that have become visible in these ranges, page by page. */
    within: async function* (ranges: readonly { from: number; to: number }[]): AsyncGenerator<CommittedChange[]> {
      for (let isLast = ranges.length === 0; !isLast; ) {
        const rows = await read<CommittedChange>(
          `SELECT c.seq, c.kind, c.target, c.expires_at AS "expiresAt"
           FROM unnest($1::bigint[], $2::bigint[]) AS r (low, high) JOIN changes c ON c.seq BETWEEN r.low AND r.high
           ORDER BY c.seq LIMIT ${pageSize}`,
          [ranges.map(({ from }) => from), ranges.map(({ to }) => to)],
        );
        isLast = rows.length < pageSize;
        yield rows;
        const last = rows.at(-1)?.seq ?? 0;
        ranges = ranges.filter(({ to }) => to > last).map(({ from, to }) => ({ from: Math.max(from, last + 1), to }));
      }
    },
    writers,
    /** Returns the writers that are open now and have not ended within `ms`. */
    writersAfter: async (ms: number): Promise<ReadonlySet<string>> => {
      const deadline = performance.now() + ms;
      let left: ReadonlySet<string> = await writers();
      while (left.size > 0 && performance.now() < deadline) {
        await delay(lookAgainMs);
        left = left.intersection(await writers());
      }
      return left;
    },
    /** Returns a page of revoked tokens whose numbers are at most `seq`, newest first. */
    revokedUpTo: async (seq: number): Promise<RevokedPage> => {
      const { server, first } = await readServer<{ lowest: number | null; targets: string | null; expiresAt: Date }>(
        `SELECT ${serverSql} AS server, pg_is_in_recovery() AS standby, min(seq) AS lowest,
           string_agg(target, E'\\n') FILTER (WHERE is_revoked) AS targets,
           max(expires_at) FILTER (WHERE is_revoked) AS "expiresAt"
         FROM (SELECT *, kind = 'token' AND expires_at > now() AS is_revoked
               FROM changes WHERE seq <= $1 ORDER BY seq DESC LIMIT ${revokedPageSize}) page`,
        [seq],
      );
      const { lowest, targets, expiresAt } = first;
      return {
        server,
        below: lowest === null ? undefined : lowest - 1,
        revoked: targets === null ? undefined : { targets, expiresAt },
      };
    },
    /**
     * Returns at most `limit` changes after `seq`, or undefined if some may have been deleted or another server wrote
     * them.
     */
    missed: async (seq: number, server: string, limit: number): Promise<CommittedChange[] | undefined> => {
      const rows = await read<CommittedChange | { seq: null }>(
        `SELECT c.seq, c.kind, c.target, c.expires_at AS "expiresAt"
         FROM (SELECT (SELECT min(seq) FROM changes) AS oldest) s
         LEFT JOIN (SELECT * FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2) c ON true
         WHERE coalesce(s.oldest <= $1::bigint + 1, true) AND ${serverSql} = $3
         ORDER BY c.seq`,
        [seq, limit, server],
      );
      return rows.length === 0 ? undefined : (rows.filter((row) => row.seq !== null) as CommittedChange[]);
    },
  };
}
