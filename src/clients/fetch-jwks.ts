import { LRUCache } from 'lru-cache';
import type { Registration } from '../credentials/registration.ts';
import { fetchOutside, type OutsideOptions } from '../http/outside-fetch.ts';
import type { Log } from '../observability/log.ts';
import type { Clock } from '../process/clock.ts';
import { type ClientJwks, type ClientKey, usableKeys, type VerificationAlgorithm } from './verification-key.ts';

export type FetchJwks = (uri: string) => Promise<readonly unknown[]>;

/** Fetches the `keys` of a JWK Set (RFC 7517 §5), whose URL was registered by a third party. */
export async function fetchJwks(uri: string, options: OutsideOptions = {}): Promise<readonly unknown[]> {
  const headers = { Accept: 'application/jwk-set+json, application/json' };
  const { status, text } = await fetchOutside(uri, { headers }, options);
  if (status !== 200) throw new Error(`status ${status}`);
  const document = JSON.parse(text) as { keys?: unknown } | null;
  if (!Array.isArray(document?.keys)) throw new Error('not a JWK Set');
  return document.keys;
}

export type ClientKeys = {
  /**
   * Returns the keys of a registration, registered or published at its URL; empty if the URL cannot be read.
   * @param wanted.accepted the algorithms of the keys that are used.
   * @param wanted.kid the ID of the key to find. The URL is fetched again if the ID is unknown.
   * @param wanted.client the id of the client, for which it is recorded what the URL publishes.
   */
  find(
    registration: Pick<Registration, 'jwks' | 'jwksUri'>,
    wanted: {
      accepted: readonly VerificationAlgorithm[];
      kid?: string | undefined;
      client?: string | undefined;
    },
  ): Promise<readonly ClientKey[]>;
};

type Fetched = {
  keys: readonly ClientKey[];
  readAt: number;
  triedAt: number;
  running: Promise<void> | undefined;
  /** Clients for which it is recorded what was read last. */
  noted: Set<string>;
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

/** Records which keys a client's URL publishes. */
type NotePublished = (client: string, jwksUri: string, keys: readonly ClientKey[], at: Date) => Promise<void>;

export function createClientKeys(deps: {
  fetchJwks: FetchJwks;
  clock: Clock;
  log: Log;
  notePublished: NotePublished;
}): ClientKeys {
  const { fetchJwks, clock, log, notePublished } = deps;
  const byUrl = new LRUCache<string, Fetched>({ max: maxUrls });

  /**
   * Caches imported keys by registration object, which is replaced with its client. So are the accepted algorithms, which
   * depend on the client and the deployment alone.
   */
  const imported = new WeakMap<ClientJwks, readonly ClientKey[]>();

  function importOnce(jwks: ClientJwks, accepted: readonly VerificationAlgorithm[]): readonly ClientKey[] {
    let keys = imported.get(jwks);
    if (!keys) {
      keys = usableKeys(jwks.keys, accepted);
      imported.set(jwks, keys);
    }
    return keys;
  }

  async function read(uri: string, fetched: Fetched, accepted: readonly VerificationAlgorithm[]): Promise<void> {
    fetched.triedAt = clock();
    try {
      fetched.keys = usableKeys(await fetchJwks(uri), accepted);
      fetched.readAt = clock();
      fetched.noted = new Set();
    } catch (error) {
      log.warn({ jwks_uri: uri, error: (error as Error).message }, 'failed to fetch the keys of a client');
    } finally {
      fetched.running = undefined;
    }
  }

  /**
   * Starts recording what was read, once for each client. No request waits for it. If that fails, the keys are recorded
   * after the next fetch, so that requests cannot cause many failing statements.
   */
  function note(client: string, jwksUri: string, { keys, readAt, noted }: Fetched): void {
    if (noted.has(client) || !Number.isFinite(readAt)) return;
    noted.add(client);
    notePublished(client, jwksUri, keys, new Date(readAt)).catch((error: Error) => {
      log.warn({ jwks_uri: jwksUri, error: error.message }, 'the published keys of a client cannot be recorded');
    });
  }

  function isWanting({ keys, readAt }: Fetched, kid: string | undefined): boolean {
    return clock() - readAt > freshForMs || (kid !== undefined && !keys.some((key) => key.kid === kid));
  }

  return {
    find: async ({ jwks, jwksUri }, { accepted, kid, client }) => {
      if (jwks) return importOnce(jwks, accepted);
      if (jwksUri === null) return [];
      // Clients with other algorithms use other keys of the same URL.
      const name = `${accepted.length} ${jwksUri}`;
      const fetched = byUrl.get(name) ?? unread();
      byUrl.set(name, fetched);
      if (isWanting(fetched, kid) && clock() - fetched.triedAt > retryAfterMs)
        fetched.running ??= read(jwksUri, fetched, accepted);
      await fetched.running;
      if (client !== undefined) note(client, jwksUri, fetched);
      return clock() - fetched.readAt > usableForMs ? [] : fetched.keys;
    },
  };
}

function unread(): Fetched {
  const never = Number.NEGATIVE_INFINITY;
  return { keys: [], readAt: never, triedAt: never, running: undefined, noted: new Set() };
}
