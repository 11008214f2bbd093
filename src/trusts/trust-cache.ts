import type { ChangeFeed } from '../storage/change.ts';
import type { Database } from '../storage/database.ts';
import { createFollowedCache } from '../storage/followed-cache.ts';
import type { Trust } from './trust.ts';
import { listEnabledTrusts } from './trust-store.ts';

/** The enabled trusts of all clients. */
export type TrustCache = {
  /** Returns those of an issuer. @throws {StoreUnavailable} */
  of(issuer: string): Promise<readonly Trust[]>;
  /**
   * Returns those of an issuer, including every change that was committed before the call.
   * @param since when the request began, by `performance.now()`.
   */
  recentOf(issuer: string, since: number): Promise<readonly Trust[]>;
};

/** Caches all trusts as one value, so that tokens of unknown issuers cause no statements. */
export function createTrustCache({ database, feed }: { database: Database; feed: ChangeFeed }): TrustCache {
  const trusts = createFollowedCache<ReadonlyMap<string, Trust[]>>({
    feed,
    kind: 'trusts',
    maxEntries: 1,
    load: async () => Map.groupBy(await listEnabledTrusts(database), ({ issuer }) => issuer),
  });
  return {
    of: async (issuer) => (await trusts.get('all'))?.get(issuer) ?? [],
    recentOf: async (issuer, since) => (await trusts.getRecent('all', since))?.get(issuer) ?? [],
  };
}
