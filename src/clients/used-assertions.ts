import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Database } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';

type UsableOnce = {
  /** The internal id of the client that sent it. Its row is deleted together with the client. */
  client: string;
  kind: 'assertion' | 'dpop';
  /**
   * Identifies the assertion or proof among those of all clients: a `jti` with the issuer or key that it is unique for.
   */
  jti: string;
  /** The time after which it is too old to be accepted, in milliseconds since 1970-01-01 UTC. */
  expiresAt: number;
};

export type UsedAssertions = {
  /**
   * Marks an assertion or a proof as used. Commits before returning, so that only one of all processes accepts it.
   * @returns false if any client used it before.
   * @throws {StoreUnavailable} if that cannot be determined.
   */
  useOnce(assertion: UsableOnce): Promise<boolean>;
};

/** Time to keep an ID after its expiry, because the clocks of the processes and of the database may differ. */
const leewayMs = 60_000;
/** Number of IDs that this process caches, to reject repetitions without a query. */
const maxRemembered = 50_000;

export function createUsedAssertions(database: Database): UsedAssertions {
  /** IDs that were used in this process. Only the database can determine that an ID is new. */
  const used = new LRUCache<string, true>({ max: maxRemembered });

  async function insert({ client, expiresAt }: UsableOnce, id: Buffer): Promise<boolean> {
    // The unique index over `id` alone makes an id that another client used a conflict too.
    const rows = await withDeadline(
      database.query(
        `INSERT INTO used_assertions (client, id, expires_at)
         SELECT id, $2, $3 FROM clients WHERE id = $1 ON CONFLICT DO NOTHING RETURNING 1`,
        [client, id, new Date(expiresAt + leewayMs)],
      ),
    );
    return rows.length === 1;
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
