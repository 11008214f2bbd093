import type { Database } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { TokenRecordCodec } from './token-record-codec.ts';
import type { TokenStore } from './token-store.ts';

/** Stores access tokens in the database, for a deployment without Redis. `storage/sweep.ts` deletes expired ones. */
export function createDatabaseTokenStore(database: Database, codec: TokenRecordCodec): TokenStore {
  return {
    name: 'database',
    async save(record, _now, transaction) {
      await withDeadline(
        (transaction ?? database).query('INSERT INTO access_tokens (jti, record, expires_at) VALUES ($1, $2, $3)', [
          record.jti,
          codec.encode(record),
          new Date(record.expiresAt * 1_000),
        ]),
      );
    },
    async find(jti) {
      const rows = await withDeadline(
        database.query<{ record: string }>('SELECT record FROM access_tokens WHERE jti = $1', [jti]),
      );
      return rows[0] && codec.decode(jti, rows[0].record);
    },
    async remove(jti) {
      await withDeadline(database.query('DELETE FROM access_tokens WHERE jti = $1', [jti]));
    },
    async ping() {
      await withDeadline(database.query('SELECT 1'));
    },
  };
}
