import type { TokenRecord, TokenStore } from './token-store.ts';

/** A token store that remembers for a moment what it found. */
export type NearTokenStore = TokenStore & {
  /** From memory alone; undefined says nothing about the token. */
  peek(jti: string): TokenRecord | undefined;
};

/** A record is remembered for at least this long and at most twice as long: a second. */
const generationMs = 500;
/** In one generation; beyond that, nothing more is remembered until the next one. About 400 bytes each. */
const maxRecords = 20_000;

/**
 * Remembers records that were found, for at most a second, for resource servers that ask about the same token again and again. A
 * record never changes, and whether it was revoked is known apart from it; so all that may be late, by that second, is that the store
 * has lost it. Records age by the generation: dropping a whole map costs nothing.
 */
export function createNearTokenStore(store: TokenStore): NearTokenStore {
  let young = new Map<string, TokenRecord>();
  let old = new Map<string, TokenRecord>();
  let bornAt = performance.now();

  function age(): void {
    const generations = Math.floor((performance.now() - bornAt) / generationMs);
    if (generations === 0) return;
    old = generations === 1 ? young : new Map();
    young = new Map();
    bornAt += generations * generationMs;
  }

  return {
    name: store.name,
    save: store.save,
    ping: store.ping,
    peek: (jti) => {
      age();
      return young.get(jti) ?? old.get(jti);
    },
    // Asks the store always: what is not live for whoever asks takes the same time as what was never issued.
    find: async (jti) => {
      const record = await store.find(jti);
      age();
      if (record && young.size < maxRecords) young.set(jti, record);
      return record;
    },
    remove: async (jti) => {
      young.delete(jti);
      old.delete(jti);
      await store.remove(jti);
    },
  };
}
