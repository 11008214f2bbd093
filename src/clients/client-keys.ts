import { LRUCache } from 'lru-cache';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import type { Client } from './client.ts';
import { importJwks, usableKeys } from './client-jwks.ts';
import type { FetchJwks } from './fetch-jwks.ts';
import type { VerificationKey } from './verification-key.ts';

export type ClientKeys = {
  /**
   * Returns the keys that the client signs with, registered or published at its URL; empty if the URL cannot be read.
   * @param kid the ID of the key to find. The URL is fetched again if the ID is unknown.
   */
  find(client: Client, kid: string | undefined): Promise<readonly VerificationKey[]>;
};

type Fetched = {
  keys: readonly VerificationKey[];
  readAt: number;
  triedAt: number;
  running: Promise<void> | undefined;
};

const maxUrls = 1_000;
/**
 * Maximum age of fetched keys before the next fetch. A new key is found at once; a removed key is accepted until then.
 */
const freshForMs = 5 * 60_000;
/** Maximum age of fetched keys that are still used if the URL cannot be fetched again. */
const usableForMs = 60 * 60_000;
/** Minimum time between fetches, so that unknown `kid` values cannot cause many requests to a `jwks_uri`. */
const retryAfterMs = 60_000;

export function createClientKeys(deps: { fetchJwks: FetchJwks; clock: Clock; log: Log }): ClientKeys {
  const { fetchJwks, clock, log } = deps;
  const byUrl = new LRUCache<string, Fetched>({ max: maxUrls });

  async function read(uri: string, fetched: Fetched): Promise<void> {
    fetched.triedAt = clock();
    try {
      fetched.keys = usableKeys(await fetchJwks(uri));
      fetched.readAt = clock();
    } catch (error) {
      log.warn({ jwks_uri: uri, error: (error as Error).message }, 'the keys of a client cannot be read');
    } finally {
      fetched.running = undefined;
    }
  }

  function isWanting({ keys, readAt }: Fetched, kid: string | undefined): boolean {
    return clock() - readAt > freshForMs || (kid !== undefined && !keys.some((key) => key.kid === kid));
  }

  return {
    find: async ({ jwks, jwksUri }, kid) => {
      if (jwks) return importJwks(jwks);
      if (jwksUri === null) return [];
      const never = Number.NEGATIVE_INFINITY;
      const fetched = byUrl.get(jwksUri) ?? { keys: [], readAt: never, triedAt: never, running: undefined };
      byUrl.set(jwksUri, fetched);
      if (isWanting(fetched, kid) && clock() - fetched.triedAt > retryAfterMs)
        fetched.running ??= read(jwksUri, fetched);
      await fetched.running;
      return clock() - fetched.readAt > usableForMs ? [] : fetched.keys;
    },
  };
}
