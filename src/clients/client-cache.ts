import { isWellFormedClientId } from '../credentials/credential-format.ts';
import { isForeignClientId } from '../credentials/foreign-credential.ts';
import { findHashShapes } from '../secrets/hashed-secrets.ts';
import type { ChangeFeed } from '../storage/change.ts';
import type { Database } from '../storage/database.ts';
import { createFollowedCache, type FollowedCache } from '../storage/followed-cache.ts';
import type { Client, KnownClient } from './client.ts';
import { type FoundClient, findKnownClients, hasForeignClientIds, listResourceServers } from './client-store.ts';

/** The clients that this process has cached, and all resource servers. */
export type ClientCache = {
  /**
   * Finds a client by any of its Client IDs. Skips the query for malformed IDs, and for foreign IDs if none was
   * imported.
   */
  find(clientId: string): Promise<KnownClient | undefined>;
  /**
   * Finds a client including every change that was committed before the call, so that no client is rejected because of
   * an outdated cache.
   * @param since when the request began, by `performance.now()`; a value that was read since then needs no statement.
   */
  findRecent(clientId: string, since?: number): Promise<KnownClient | undefined>;
  /** Returns false for a malformed Client ID, and for a foreign one if none was imported. */
  isPossible(clientId: string): Promise<boolean>;
  /**
   * Returns the shapes of the hashes of imported secrets that await their first use, for each different combination that
   * a client has; an empty list if there are none.
   * @param since as for `findRecent`, because another process may just have imported the first one.
   */
  hashShapes(since: number): Promise<readonly (readonly string[])[]>;
  /** Returns a cached client. Undefined does not mean that the client does not exist. */
  peek(clientId: string): KnownClient | undefined;
  resourceServers(): Promise<readonly Client[]>;
  /** Returns the cached resource servers, or undefined if they are not cached. */
  peekResourceServers(): readonly Client[] | undefined;
  readonly counts: FollowedCache<KnownClient>['counts'];
};

const maxClients = 20_000;

/** Returns a client as requests need it: disabled also while its organization is, so that one rule rejects both. */
export function asServed({ client, secrets, isOrganizationEnabled }: FoundClient): KnownClient {
  return { client: { ...client, enabled: client.enabled && isOrganizationEnabled, details: null }, secrets };
}

export function createClientCache(deps: { database: Database; feed: ChangeFeed }): ClientCache {
  const { database, feed } = deps;
  const clients = createFollowedCache<KnownClient>({
    feed,
    kind: 'client',
    maxEntries: maxClients,
    load: batchLoads(async (clientIds) => {
      const found = await findKnownClients(database, clientIds);
      return new Map([...found].map(([id, known]) => [id, asServed(known)]));
    }),
  });
  const resourceServers = createFollowedCache<readonly Client[]>({
    feed,
    kind: 'resource_servers',
    maxEntries: 1,
    load: () => listResourceServers(database),
  });
  const foreignClients = createFollowedCache<{ exist: boolean; hashShapes: string[][] }>({
    feed,
    kind: 'foreign_client_ids',
    maxEntries: 1,
    load: async () => ({ exist: await hasForeignClientIds(database), hashShapes: await findHashShapes(database) }),
  });
  async function isPossible(clientId: string, since?: number): Promise<boolean> {
    if (isWellFormedClientId(clientId)) return true;
    if (!isForeignClientId(clientId)) return false;
    if ((await foreignClients.get('all'))?.exist) return true;
    // Another process may just have imported the first one.
    return since !== undefined && (await foreignClients.getRecent('all', since))?.exist === true;
  }
  return {
    find: async (clientId) => ((await isPossible(clientId)) ? await clients.get(clientId) : undefined),
    findRecent: async (clientId, since) =>
      (await isPossible(clientId, since ?? performance.now())) ? await clients.getRecent(clientId, since) : undefined,
    isPossible: (clientId) => isPossible(clientId),
    hashShapes: async (since) => (await foreignClients.getRecent('all', since))?.hashShapes ?? [],
    peek: clients.peek,
    counts: clients.counts,
    peekResourceServers: () => resourceServers.peek('all'),
    resourceServers: async () => (await resourceServers.get('all')) ?? [],
  };
}

/**
 * Maximum number of concurrent statements. Other work still finds a free connection, and keys that arrive in between
 * share the next statement.
 */
const maxRunning = 3;
const maxKeys = 200;

type Waiting<T> = { resolve: (value: T | undefined) => void; reject: (error: unknown) => void };

/**
 * Combines concurrent look-ups of many keys into few statements: when all clients reconnect at once, one statement
 * loads hundreds of them. A single key is looked up without delay.
 * @param loadMany returns the values found, by key.
 */
function batchLoads<T>(
  loadMany: (keys: readonly string[]) => Promise<ReadonlyMap<string, T>>,
): (key: string) => Promise<T | undefined> {
  const queue = new Map<string, Waiting<T>[]>();
  let running = 0;

  function start(): void {
    while (running < maxRunning && queue.size > 0) {
      const batch = new Map([...queue].slice(0, maxKeys));
      for (const key of batch.keys()) queue.delete(key);
      running += 1;
      void load(batch).finally(() => {
        running -= 1;
        start();
      });
    }
  }

  async function load(batch: ReadonlyMap<string, readonly Waiting<T>[]>): Promise<void> {
    try {
      const found = await loadMany([...batch.keys()]);
      for (const [key, waiting] of batch) for (const { resolve } of waiting) resolve(found.get(key));
    } catch (error) {
      for (const waiting of batch.values()) for (const { reject } of waiting) reject(error);
    }
  }

  return (key) =>
    new Promise((resolve, reject) => {
      const waiting = queue.get(key);
      if (waiting) waiting.push({ resolve, reject });
      else queue.set(key, [{ resolve, reject }]);
      // Keys requested in the same turn of the event loop share a statement.
      if (queue.size === 1) setImmediate(start);
      else if (running === 0) start();
    });
}
