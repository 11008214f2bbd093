import { createGenerations } from '../storage/generations.ts';
import { tokenId } from './access-token.ts';
import type { TokenRecord, TokenStore } from './token-store.ts';

/** A token store that is asked by the token, and remembers for a moment what it found. */
export type NearTokenStore = Omit<TokenStore, 'find'> & {
  /** From memory alone; undefined says nothing about the token. */
  peek(token: string): TokenRecord | undefined;
  /** Asks the store always: what is not live for whoever asks takes the same time as what was never issued. */
  find(token: string): Promise<TokenRecord | undefined>;
};

/** A record is remembered for at least this long and at most twice as long: a second. */
const generationMs = 500;
/** About 500 bytes each. Those that are asked about again and again are among the first of a generation. */
const maxRecords = 5_000;

/**
 * Remembers records that were found, for at most a second, for resource servers that ask about the same token again and again. A
 * record never changes, and whether it was revoked is known apart from it; so all that may be late, by that second, is that the store
 * has lost it. By the token and not by its hash: of texts a map compares only those whose hashes, seeded by chance in each process, are
 * equal, so how long that takes says nothing about how much of a token was guessed.
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
