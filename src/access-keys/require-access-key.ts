import { refusalOfSecret } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import { refusalOfNetwork } from '../http/allowed-networks.ts';
import type { Queryable } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import type { PresentedSecret } from '../usage/usage-counter.ts';
import { type AccessKey, refusalOfKey } from './access-key.ts';
import type { AccessKeyCache, PresentedAccessKey } from './access-key-cache.ts';
import { markAccessKeyUsed } from './access-key-store.ts';

export type AccessKeyDeps = {
  accessKeys: AccessKeyCache;
  clock: () => number;
  database: Queryable;
};

/**
 * The error for every access key that is unknown, disabled, ended, expired or not for this client. The reason is
 * counted but not part of the answer.
 */
export class RefusedAccessKey extends KeyturnError {
  readonly refused: { secret: PresentedSecret; reason: string } | undefined;

  constructor(refused?: { secret: PresentedSecret; reason: string }) {
    super('invalid_grant', 400, 'The access key is unknown, disabled or expired.', {
      detail: `access key: ${refused?.reason ?? 'unknown'}`,
    });
    this.refused = refused;
  }
}

/**
 * Who uses an access key: the id of a client, or undefined if the key is used alone; and the IP address, or undefined if
 * it is not known.
 */
type KeyUser = { client: string | undefined; address: string | undefined };

/**
 * Returns the access key with this value if it may be used now.
 * @throws {RefusedAccessKey}
 */
export async function requireAccessKey(deps: AccessKeyDeps, value: string, user: KeyUser): Promise<PresentedAccessKey> {
  const known = await deps.accessKeys.findByValue(value);
  if (known && !refusalOfUse(known, user, deps.clock())) return known;
  // Reload before rejecting: another process may just have created or enabled the key.
  const recent = await deps.accessKeys.findRecentByValue(value);
  if (!recent) throw new RefusedAccessKey();
  const reason = refusalOfUse(recent, user, deps.clock());
  if (reason) throw new RefusedAccessKey({ secret: presentedValueOf(recent), reason });
  return recent;
}

/**
 * Returns the access key with this value from the cache if it was used before and may be used now. Undefined does not
 * mean that the key is invalid.
 */
export function recallAccessKey(
  { accessKeys, clock }: AccessKeyDeps,
  value: string,
  user: KeyUser,
): PresentedAccessKey | undefined {
  const known = accessKeys.peekByValue(value);
  return known && known.key.usedAt !== null && !refusalOfUse(known, user, clock()) ? known : undefined;
}

/** Returns the form in which a key's use is counted. */
export function presentedValueOf({ key, secret }: PresentedAccessKey): PresentedSecret {
  return { owner: key.id, generation: secret.generation, epoch: key.tokenEpoch, networks: key };
}

/**
 * Writes a key's first use before the answer, because a used key can never be removed. Later uses are only counted. A
 * write that takes longer than a request may wait still continues, and a retry finds it done.
 * @throws {RefusedAccessKey} if the key was removed in the meantime.
 */
export async function recordFirstUse(
  deps: Pick<AccessKeyDeps, 'database' | 'clock'>,
  { key }: PresentedAccessKey,
): Promise<void> {
  if (key.usedAt !== null) return;
  const writing = firstUses.get(key) ?? writeFirstUse(deps, key);
  firstUses.set(key, writing);
  if (!(await withDeadline(writing))) throw new RefusedAccessKey();
}

/** Writes in progress by cached key, so that concurrent first uses cause one write. */
const firstUses = new WeakMap<AccessKey, Promise<boolean>>();

async function writeFirstUse({ database, clock }: Pick<AccessKeyDeps, 'database' | 'clock'>, key: AccessKey) {
  try {
    const at = new Date(clock());
    const isThere = await markAccessKeyUsed(database, key.id, at);
    // Update the cached key here, so that it does not have to be reloaded for this.
    if (isThere) key.usedAt = at;
    return isThere;
  } finally {
    firstUses.delete(key);
  }
}

/**
 * Returns why an access key, presented by this value, must not be used, or undefined if it may.
 * @param client the id of the client that uses it, or undefined if it is used alone.
 */
export function refusalOfPresentedKey({ key, secret }: PresentedAccessKey, client: string | undefined, now: number) {
  return refusalOfSecret(secret, now) ?? refusalOfKey(key, client, now);
}

function refusalOfUse(presented: PresentedAccessKey, { client, address }: KeyUser, now: number) {
  return refusalOfPresentedKey(presented, client, now) ?? refusalOfNetwork(presented.key, address);
}
