import { hash } from 'node:crypto';
import { isWellFormedSecret } from '../credentials/credential-format.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Secret } from '../credentials/secret.ts';
import { verifiersOf } from '../credentials/verifier.ts';
import { findSecretOwner } from '../secrets/secret-store.ts';
import type { ChangeFeed } from '../storage/change.ts';
import type { Database } from '../storage/database.ts';
import { createFollowedCache } from '../storage/followed-cache.ts';
import type { KnownAccessKey } from './access-key.ts';
import { type FoundAccessKey, findKnownAccessKey } from './access-key-store.ts';

/** An access key, with the one of its values that a request presented. */
export type PresentedAccessKey = KnownAccessKey & { secret: Secret };

/** The access keys that this process has cached. */
export type AccessKeyCache = {
  find(id: string): Promise<KnownAccessKey | undefined>;
  /** Finds a key by its id, including every change that was committed before the call. */
  findRecent(id: string): Promise<KnownAccessKey | undefined>;
  /** Returns a cached key. Undefined means that it is not cached. */
  peek(id: string): KnownAccessKey | undefined;
  /**
   * Finds a key by its value, without a query for malformed values. The caller must check whether the key and the value
   * are still valid.
   */
  findByValue(value: string): Promise<PresentedAccessKey | undefined>;
  /** Returns a cached key by its value. Undefined does not mean that the value is wrong. */
  peekByValue(value: string): PresentedAccessKey | undefined;
  /** Finds a key by its value, including every change that was committed before the call. */
  findRecentByValue(value: string): Promise<PresentedAccessKey | undefined>;
};

const maxKeys = 50_000;

/** Returns a key as requests need it: disabled also while the organization of its contact is. */
export function asServedKey({ key, secrets, organizationId, isOrganizationEnabled }: FoundAccessKey): KnownAccessKey {
  return { key: { ...key, organizationId, enabled: key.enabled && isOrganizationEnabled, notes: null }, secrets };
}

export function createAccessKeyCache(deps: { database: Database; feed: ChangeFeed; keyRing: KeyRing }): AccessKeyCache {
  const { database, feed, keyRing } = deps;
  const keys = createFollowedCache<KnownAccessKey>({
    feed,
    kind: 'access_key',
    maxEntries: maxKeys,
    load: async (id) => {
      const known = await findKnownAccessKey(database, id);
      return known && asServedKey(known);
    },
  });
  /**
   * Caches which key a value belongs to. This never changes, so that changes of the key drop only the key's own entry.
   */
  const owners = createFollowedCache<{ id: string; secretId: string }>({
    feed,
    kind: 'access_key',
    maxEntries: maxKeys,
    load: async (digest) => {
      const value = asked.get(digest);
      if (value === undefined) return undefined;
      const found = await findSecretOwner(database, verifiersOf(keyRing, 'access-key-pepper', value));
      return found?.owner.kind === 'access_key' ? { id: found.owner.id, secretId: found.secretId } : undefined;
    },
  });
  /** Values of look-ups in progress. Only their digests are kept longer. */
  const asked = new Map<string, string>();

  async function ownerOf(value: string, how: 'get' | 'getRecent') {
    const digest = digestOf(value);
    asked.set(digest, value);
    try {
      return await owners[how](digest);
    } finally {
      asked.delete(digest);
    }
  }

  async function findBy(value: string, how: 'get' | 'getRecent'): Promise<PresentedAccessKey | undefined> {
    if (!isWellFormedSecret(value, 'ktk_')) return undefined;
    const owner = await ownerOf(value, how);
    return owner && presentedAs(await keys[how](owner.id), owner.secretId);
  }

  return {
    find: (id) => keys.get(id),
    findRecent: (id) => keys.getRecent(id),
    peek: (id) => keys.peek(id),
    peekByValue: (value) => {
      const owner = owners.peek(digestOf(value));
      return owner && presentedAs(keys.peek(owner.id), owner.secretId);
    },
    findByValue: (value) => findBy(value, 'get'),
    findRecentByValue: (value) => findBy(value, 'getRecent'),
  };
}

function digestOf(value: string): string {
  return hash('sha256', value, 'base64url');
}

function presentedAs(known: KnownAccessKey | undefined, secretId: string): PresentedAccessKey | undefined {
  const secret = known?.secrets.find(({ id }) => id === secretId);
  return known && secret && { key: known.key, secrets: known.secrets, secret };
}
