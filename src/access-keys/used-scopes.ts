import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Database, Queryable } from '../storage/database.ts';

/**
 * Counts which scopes were used: those of access keys as reported by resource servers, and declared ones of clients as
 * granted. Counts are kept in memory and written every few seconds.
 */
export type UsedScopes = {
  /** @param owner the ID of the access key or client. */
  count(owner: string, scope: readonly string[]): void;
  /** Writes the counts now. Never rejects: counts that cannot be written are kept for the next time. */
  flush(): Promise<void>;
  close(): Promise<void>;
};

const everyMs = 4_000;
const keptMs = 90 * 86_400_000;
/** Maximum number of distinct pairs of owner and scope between two writes; further pairs are not counted. */
const maxPairs = 50_000;

/** @param owner the column of `table` with the id of the access key or client. */
export function startUsedScopes(
  deps: { database: Database; clock: Clock; log: Log },
  { table, owner }: { table: 'access_key_scopes'; owner: 'access_key' } | { table: 'client_scopes'; owner: 'client' },
): UsedScopes {
  const { database, clock, log } = deps;
  let counts = new Map<string, number>();
  let running: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    if (counts.size === 0) return;
    const taken = counts;
    counts = new Map();
    const now = clock();
    const rows = [...taken].map(([pair, count]) => {
      const [id, scope] = pair.split(' ');
      return { id, scope, count };
    });
    try {
      await database.query(
        `INSERT INTO ${table} AS s (${owner}, scope, count, first_used_at, last_used_at, expires_at)
         SELECT id, scope, count, $2, $2, $3
         FROM jsonb_to_recordset($1::jsonb) AS b (id uuid, scope text, count bigint) ORDER BY id, scope
         ON CONFLICT (${owner}, scope) DO UPDATE SET count = s.count + excluded.count,
           last_used_at = GREATEST(s.last_used_at, excluded.last_used_at), expires_at = excluded.expires_at`,
        [JSON.stringify(rows), new Date(now), new Date(now + keptMs)],
      );
    } catch (error) {
      for (const [pair, count] of taken) counts.set(pair, (counts.get(pair) ?? 0) + count);
      throw error;
    }
  }

  function flush(): Promise<void> {
    running = running
      .then(write)
      .catch((error: Error) => log.warn({ error: error.message }, 'failed to write used scopes'));
    return running;
  }

  const timer = setInterval(() => void flush(), everyMs);
  timer.unref();
  return {
    count: (id, scope) => {
      for (const item of scope) {
        const pair = `${id} ${item}`;
        const known = counts.get(pair);
        if (known !== undefined || counts.size < maxPairs) counts.set(pair, (known ?? 0) + 1);
      }
    },
    flush,
    close: async () => {
      clearInterval(timer);
      await flush();
    },
  };
}

/** Returns the scopes that keys were used for since a date, in one statement for a page of keys. */
export async function findUsedScopes(
  database: Queryable,
  accessKeyIds: readonly string[],
  since: Date,
): Promise<Map<string, string[]>> {
  const rows = await database.query<{ access_key: string; scopes: string[] }>(
    `SELECT access_key, array_agg(scope ORDER BY scope) AS scopes FROM access_key_scopes
     WHERE access_key = ANY ($1::uuid[]) AND last_used_at >= $2 GROUP BY access_key`,
    [accessKeyIds, since],
  );
  return new Map(rows.map((row) => [row.access_key, row.scopes]));
}
