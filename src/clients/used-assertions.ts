import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Database } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';

type UsableOnce = {
  /** The client's id that stays. */
  client: string;
  kind: 'assertion' | 'dpop';
  jti: string;
  /** When it will be refused for its age, in milliseconds. */
  expiresAt: number;
};

export type UsedAssertions = {
  /**
   * Burns the id of an assertion or a proof. Committed before it is believed, so that of all processes one alone may go on with it.
   * @returns false: it was used before.
   * @throws {StoreUnavailable} when that cannot be known.
   */
  useOnce(assertion: UsableOnce): Promise<boolean>;
};

/** So long after its end an id is still known: the clocks of the processes and of the database may differ. */
const leewayMs = 60_000;
/** Whoever sends the same again and again is refused from memory, up to so many. */
const maxRemembered = 50_000;

export function createUsedAssertions(database: Database): UsedAssertions {
  /** Used here, or being used right now. Whether an id is new is for the database alone to say. */
  const used = new LRUCache<string, true>({ max: maxRemembered });

  async function insert({ client, expiresAt }: UsableOnce, id: Buffer): Promise<boolean> {
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
      const name = `${assertion.client} ${id.toString('base64url')}`;
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
