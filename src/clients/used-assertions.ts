import { hash } from 'node:crypto';
import { StoreUnavailable } from '../errors.ts';
import type { ChangeFeed } from '../storage/change.ts';
import type { Database } from '../storage/database.ts';
import { createGrowingCache } from '../storage/growing-cache.ts';
import { withDeadline } from '../storage/with-deadline.ts';

type UsableOnce = {
  /** The internal id of the client or stand-alone access key that sent it. Its row is deleted together with that. */
  owner: string;
  kind: 'assertion' | 'dpop';
  /**
   * Identifies the assertion or proof among all of them: a `jti` with the issuer or key that it is unique for.
   */
  jti: string;
  /** The earliest time at which it can have been used, in milliseconds since 1970-01-01 UTC. */
  usableFrom: number;
  /** The time after which it is too old to be accepted, in milliseconds since 1970-01-01 UTC. */
  expiresAt: number;
};

export type UsedAssertions = {
  /**
   * Marks an assertion or a proof as used. Commits before returning, so that only one of all processes accepts it.
   * @returns false if anyone used it before.
   * @throws {StoreUnavailable} if that cannot be determined, also because the database may have lost the record: it was
   * promoted or restored after the assertion was issued.
   */
  useOnce(assertion: UsableOnce): Promise<boolean>;
};

/** Time to keep an ID after its expiry, because the clocks of the processes and of the database may differ. */
const leewayMs = 60_000;
/** Number of IDs that this process caches, to reject repetitions without a query. */
const maxRemembered = 50_000;

export function createUsedAssertions(database: Database, feed: Pick<ChangeFeed, 'isChecked' | 'sync'>): UsedAssertions {
  /** IDs that were used in this process. Only the database can determine that an ID is new. */
  const used = createGrowingCache<string, true>(maxRemembered);

  async function insert({ owner, usableFrom, expiresAt }: UsableOnce, id: Buffer): Promise<boolean> {
    // A database that was not compared yet may lack records, and does not say so.
    if (!feed.isChecked()) await withDeadline(feed.sync());
    // The unique index over `id` alone makes an id that another owner used a conflict too.
    const [row] = await withDeadline(
      database.query<{ isFirst: boolean; mayBeLost: boolean }>(
        `WITH lost AS (SELECT FROM database_check WHERE assertions_lost_at >= $4), used AS (
           INSERT INTO used_assertions (client, access_key, id, expires_at)
           SELECT owner.client, owner.access_key, $2::bytea, $3::timestamptz
           FROM (SELECT id AS client, NULL::uuid AS access_key FROM clients WHERE id = $1
             UNION ALL SELECT NULL, id FROM access_keys WHERE id = $1) owner
           WHERE NOT EXISTS (SELECT FROM lost) ON CONFLICT DO NOTHING RETURNING 1
         ) SELECT EXISTS (SELECT FROM used) AS "isFirst", EXISTS (SELECT FROM lost) AS "mayBeLost"`,
        [owner, id, new Date(expiresAt + leewayMs), new Date(usableFrom)],
      ),
    );
    if (row?.mayBeLost || !feed.isChecked()) {
      throw new StoreUnavailable('database', 'records of used assertions may be lost');
    }
    return row?.isFirst === true;
  }

  return {
    useOnce: async (assertion) => {
      const id = hash('sha256', `${assertion.kind} ${assertion.jti}`, 'buffer');
      const name = id.toString('base64url');
      if (used.has(name)) return false;
      used.set(name, true);
      try {
        return await insert(assertion, id);
      } catch (error) {
        used.delete(name);
        throw error;
      }
    },
  };
}
