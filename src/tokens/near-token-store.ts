import { createGenerations } from '../storage/generations.ts';
import { tokenId } from './token-id.ts';
import type { TokenRecord, TokenStore } from './token-store.ts';

/** A token store that is queried by token and briefly caches the records it finds. */
export type NearTokenStore = Omit<TokenStore, 'find'> & {
  /** Returns a cached record. Undefined does not mean that the token is unknown. */
  peek(token: string): TokenRecord | undefined;
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
    find: (token) =>
      store.find(tokenId(token)).then((record) => {
        if (record) records.set(token, record);
        return record;
      }),
  };
}
