import { hash } from 'node:crypto';
import type { Database, Transaction } from '../storage/database.ts';
import { createGenerations } from '../storage/generations.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { TokenRecord } from './token-record.ts';
import { recordFromText, recordToText, type TokenRecordCodec } from './token-record-codec.ts';

/** Storage of live access tokens. Losing it fails closed: an unknown token is inactive. */
export type TokenStore = {
  readonly name: 'redis' | 'database';
  /**
   * Stores a record.
   * @param now in milliseconds since the epoch.
   * @param transaction the caller's transaction, if any, because it may hold the only database connection.
   * @throws {StoreUnavailable} if it is not certain that the record is stored.
   */
  save(record: TokenRecord, now: number, transaction?: Transaction): Promise<void>;
  /** Returns undefined for an unknown token. @throws {StoreUnavailable} if the store cannot be queried. */
  find(jti: string): Promise<TokenRecord | undefined>;
  remove(jti: string): Promise<void>;
  /** Resolves when the store answers. @throws {StoreUnavailable} */
  ping(): Promise<void>;
};

/** Returns the `jti` of an opaque token: its SHA-256, which does not reveal the token. */
export function tokenId(token: string): string {
  return hash('sha256', token, 'base64url');
}

/** A token store that is queried by token and briefly caches the records it finds. */
export type NearTokenStore = Omit<TokenStore, 'find'> & {
  /** Returns a cached record. Undefined does not mean that the token is unknown. */
  peek(token: string): TokenRecord | undefined;
  /** Caches the record of a token that is not in the store. */
  remember(token: string, record: TokenRecord): void;
  /**
   * Always queries the store, so that a token that is not live at the resource server takes as long as one that was
   * never issued.
   */
  find(token: string): Promise<TokenRecord | undefined>;
};

/** Minimum time that a record is cached; the maximum is twice as long, one second. */
const generationMs = 500;
/**
 * Maximum number of cached records, about 500 bytes each. Frequently introspected tokens are among the first of a
 * generation.
 */
const maxRecords = 5_000;

/**
 * Caches records for at most a second, for resource servers that introspect the same token repeatedly. A record never
 * changes and revocations are checked separately, so the only possible error is to accept, during that second, a token
 * that the store has lost. The token itself is the key: a map compares strings only if their hashes, seeded randomly
 * per process, are equal, so its timing does not reveal how close a guess is.
 */
export function createNearTokenStore(store: TokenStore): NearTokenStore {
  const records = createGenerations<string, TokenRecord>(generationMs, maxRecords);
  return {
    name: store.name,
    save: store.save,
    remove: store.remove,
    ping: store.ping,
    peek: records.get,
    remember: records.set,
    find: (token) =>
      store.find(tokenId(token)).then((record) => {
        if (record) records.set(token, record);
        return record;
      }),
  };
}

/** Stores access tokens in the database, for a deployment without Redis. `storage/sweep.ts` deletes expired ones. */
export function createDatabaseTokenStore(database: Database, codec: TokenRecordCodec): TokenStore {
  return {
    name: 'database',
    async save(record, _now, transaction) {
      await withDeadline(
        (transaction ?? database).query('INSERT INTO access_tokens (jti, record, expires_at) VALUES ($1, $2, $3)', [
          record.jti,
          recordToText(codec.encode(record)),
          new Date(record.expiresAt * 1_000),
        ]),
      );
    },
    async find(jti) {
      const rows = await withDeadline(
        database.query<{ record: string }>('SELECT record FROM access_tokens WHERE jti = $1', [jti]),
      );
      return rows[0] && codec.decode(jti, recordFromText(rows[0].record));
    },
    async remove(jti) {
      await withDeadline(database.query('DELETE FROM access_tokens WHERE jti = $1', [jti]));
    },
    async ping() {
      await withDeadline(database.query('SELECT 1'));
    },
  };
}

/** Notes that the token store is complete if the deployment has no clients, and so has not issued any token. */
export async function beginIfEmpty(database: Database, completeness: { begin(): Promise<unknown> }): Promise<void> {
  if ((await database.query('SELECT 1 FROM clients LIMIT 1')).length === 0) await completeness.begin();
}
