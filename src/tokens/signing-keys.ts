import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { type Actor, appendAuditEvent } from '../audit/audit-log.ts';
import type { SigningAlgorithm } from '../config.ts';
import { signJws } from '../credentials/jws-signature.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import { seal, unseal } from '../credentials/sealed-copy.ts';
import { NotFound, StoreUnavailable } from '../errors.ts';
import type { Clock } from '../process/clock.ts';
import type { ChangeFeed } from '../storage/change.ts';
import { recordChange } from '../storage/change.ts';
import type { Database, Queryable, Transaction } from '../storage/database.ts';
import { createFollowedCache } from '../storage/followed-cache.ts';
import {
  insertSigningKey,
  listSigningKeys,
  lockSigningKeys,
  promoteNextKey,
  raiseTokenSeconds,
  type StoredSigningKey,
  withdrawSigningKey,
} from './signing-key-store.ts';

/** A key that this process can verify with, and sign with while it is the current one. */
export type SigningKey = Omit<StoredSigningKey, 'sealed'> & { privateKey: KeyObject; publicKey: KeyObject };

/** The cached signing keys of a process; every process learns of a rotation within a second. */
export type SigningKeys = {
  /**
   * Returns the key to sign with.
   * @param transaction reads the key in this transaction; without one, the key comes from the cache.
   * @throws {StoreUnavailable}
   */
  current(transaction?: Transaction): Promise<SigningKey>;
  /** Returns the cached current key, or undefined if it is not cached. */
  peekCurrent(): SigningKey | undefined;
  /** Returns every published key. */
  all(): Promise<readonly SigningKey[]>;
  /** Returns the same array as `all` until a key changes, or undefined if the keys are not cached. */
  peekAll(): readonly SigningKey[] | undefined;
};

export type SigningKeyDeps = {
  keyRing: KeyRing;
  clock: Clock;
  ttlSeconds: number;
  signingAlgorithm: SigningAlgorithm;
};

export function followSigningKeys(deps: {
  database: Database;
  feed: ChangeFeed;
  keyRing: KeyRing;
  clock: Clock;
}): SigningKeys {
  async function load(database: Queryable): Promise<SigningKey[]> {
    const stored = await listSigningKeys(database, new Date(deps.clock()));
    return stored.map((key) => openKey(deps.keyRing, key));
  }

  const cache = createFollowedCache<readonly SigningKey[]>({
    feed: deps.feed,
    kind: 'signing_keys',
    maxEntries: 1,
    load: () => load(deps.database),
  });
  const all = async () => (await cache.get('all')) ?? [];
  return {
    all,
    peekAll: () => cache.peek('all'),
    peekCurrent: () => cache.peek('all')?.find(({ state }) => state === 'current'),
    current: async (transaction) => {
      const keys = transaction ? await load(transaction) : await all();
      const key = keys.find(({ state }) => state === 'current');
      if (!key) throw new StoreUnavailable('database', 'there is no current signing key');
      return key;
    },
  };
}

/** Creates the first keys of a deployment, and announces longer lifetimes of tokens before the first one is issued. */
export async function ensureSigningKeys(transaction: Transaction, deps: SigningKeyDeps): Promise<void> {
  const at = new Date(deps.clock());
  const isReady = async () => (await listSigningKeys(transaction, at)).some(({ state }) => state === 'current');
  let isChanged = false;
  if (!(await isReady())) {
    // Before any change of the table: two processes that had changed it could not both get this lock.
    await lockSigningKeys(transaction);
    isChanged = !(await isReady());
    if (isChanged) {
      await insertSigningKey(transaction, { ...(await makeKey(deps)), state: 'current', currentAt: at });
      await insertSigningKey(transaction, await makeKey(deps));
    }
  }
  isChanged = (await raiseTokenSeconds(transaction, deps.ttlSeconds)) || isChanged;
  if (isChanged) await recordChange(transaction, { kind: 'signing_keys', target: 'all', at });
}

/**
 * Makes the next key current and creates a new next one. The previous key stays published until its last token has
 * expired.
 */
export async function rotateSigningKeys(
  transaction: Transaction,
  deps: SigningKeyDeps,
  actor: Actor,
): Promise<StoredSigningKey[]> {
  const at = new Date(deps.clock());
  await lockSigningKeys(transaction);
  const before = (await listSigningKeys(transaction, at)).find(({ state }) => state === 'current');
  await promoteNextKey(transaction, at, deps.ttlSeconds);
  await insertSigningKey(transaction, await makeKey(deps));
  await recordChange(transaction, { kind: 'signing_keys', target: 'all', at });
  const keys = await listSigningKeys(transaction, at);
  const current = keys.find(({ state }) => state === 'current');
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'signing_key.rotate',
    targetType: 'signing_key',
    target: current?.kid ?? '',
    before: { kid: before?.kid },
    after: { kid: current?.kid, next: keys.find(({ state }) => state === 'next')?.kid },
  });
  return keys;
}

/**
 * Withdraws a key that may have been stolen. Every token that it signed becomes inactive as soon as processes and
 * resource servers learn of it. If it was the current key, the next one becomes current.
 * @throws {NotFound} if no such key is published.
 */
export async function revokeSigningKey(
  transaction: Transaction,
  deps: SigningKeyDeps,
  actor: Actor,
  kid: string,
): Promise<StoredSigningKey[]> {
  const at = new Date(deps.clock());
  await lockSigningKeys(transaction);
  const revoked = (await listSigningKeys(transaction, at)).find((key) => key.kid === kid);
  if (!revoked) throw new NotFound('signing key');
  if (revoked.state === 'current') await promoteNextKey(transaction, at, deps.ttlSeconds);
  await withdrawSigningKey(transaction, kid, at);
  if (revoked.state !== 'retired') await insertSigningKey(transaction, await makeKey(deps));
  await recordChange(transaction, { kind: 'signing_keys', target: 'all', at });
  await recordChange(transaction, { kind: 'revoked_signing_key', target: kid, at });
  const keys = await listSigningKeys(transaction, at);
  const kidOf = (state: StoredSigningKey['state']) => keys.find((key) => key.state === state)?.kid;
  await appendAuditEvent(transaction, {
    at,
    actor,
    action: 'signing_key.revoke',
    targetType: 'signing_key',
    target: kid,
    before: { state: revoked.state },
    after: { kid: kidOf('current'), next: kidOf('next') },
  });
  return keys;
}

/** Rotates when the current key has signed for longer than `maxAgeDays`. Returns whether it did. */
export async function rotateOldSigningKey(
  transaction: Transaction,
  deps: SigningKeyDeps,
  actor: Actor,
  maxAgeDays: number,
): Promise<boolean> {
  await lockSigningKeys(transaction);
  const keys = await listSigningKeys(transaction, new Date(deps.clock()));
  const at = plannedRotationOf(keys, maxAgeDays);
  if (at === undefined || at > deps.clock()) return false;
  await rotateSigningKeys(transaction, deps, actor);
  return true;
}

/** Returns when the current key has signed for `maxAgeDays`, in milliseconds; undefined if there is no current key. */
export function plannedRotationOf(keys: readonly StoredSigningKey[], maxAgeDays: number): number | undefined {
  const since = keys.find(({ state }) => state === 'current')?.currentAt?.getTime();
  return since === undefined ? undefined : since + maxAgeDays * 86_400_000;
}

async function makeKey(deps: SigningKeyDeps): Promise<StoredSigningKey> {
  const { alg, jwk } = { alg: deps.signingAlgorithm, jwk: generatePrivateJwk(deps.signingAlgorithm) };
  const publicJwk = createPublicKey({ key: jwk as never, format: 'jwk' }).export({ format: 'jwk' }) as JWK;
  const kid = await calculateJwkThumbprint(publicJwk);
  return {
    kid,
    alg,
    state: 'next',
    publicJwk: { ...publicJwk, kid, alg, use: 'sig' },
    sealed: seal(deps.keyRing, { table: 'signing_keys', id: kid }, JSON.stringify(jwk)),
    createdAt: new Date(deps.clock()),
    currentAt: null,
    retiredAt: null,
    tokenSeconds: deps.ttlSeconds,
  };
}

function generatePrivateJwk(alg: SigningAlgorithm): object {
  switch (alg) {
    case 'ES256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
    case 'EdDSA':
      return generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
    case 'PS256':
    case 'RS256':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  }
}

function openKey(ring: KeyRing, { sealed, ...key }: StoredSigningKey): SigningKey {
  const jwk = JSON.parse(unseal(ring, { table: 'signing_keys', id: key.kid }, sealed)) as object;
  return {
    ...key,
    privateKey: createPrivateKey({ key: jwk as never, format: 'jwk' }),
    publicKey: createPublicKey({ key: key.publicJwk as never, format: 'jwk' }),
  };
}

/**
 * Signs claims as a JWT of the given `typ`, synchronously. Cost of a signature on one core in µs, here, in the thread
 * pool, and with Web Crypto (bench/signing.ts): ES256 34, 42, 29; EdDSA 29, 36, 23; RS256 222, 224, 217; PS256 221,
 * 227, 217. The alternatives save little, and several cores are used by several processes (KEYTURN_WORKERS). RSA blocks
 * the event loop for a quarter of a millisecond per signature; the default is ES256.
 * @param typ the kind of JWT (RFC 8725 §3.11), so that a JWT cannot be used as another kind.
 */
export function signJwt({ alg, kid, privateKey }: SigningKey, typ: string, claims: object): string {
  return signJws(alg, privateKey, `${encode({ alg, typ, kid })}.${encode(claims)}`);
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
