import { refusalOfSecret } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
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
 * Returns the access key with this value if the client may use it now.
 * @param client the client's id.
 * @throws {RefusedAccessKey}
 */
export async function requireAccessKey(
  deps: AccessKeyDeps,
  value: string,
  client: string,
): Promise<PresentedAccessKey> {
  const known = await deps.accessKeys.findByValue(value);
  if (known && !refusalOfPresentedKey(known, client, deps.clock())) return known;
  // Reload before rejecting: another process may just have created or enabled the key.
  const recent = await deps.accessKeys.findRecentByValue(value);
  if (!recent) throw new RefusedAccessKey();
  const reason = refusalOfPresentedKey(recent, client, deps.clock());
  if (reason) throw new RefusedAccessKey({ secret: presentedValueOf(recent), reason });
  return recent;
}

/**
 * Returns the access key with this value from the cache if it was used before and the client may use it now. Undefined
 * does not mean that the key is invalid.
 */
export function recallAccessKey(
  { accessKeys, clock }: AccessKeyDeps,
  value: string,
  client: string,
): PresentedAccessKey | undefined {
  const known = accessKeys.peekByValue(value);
  return known && known.key.usedAt !== null && !refusalOfPresentedKey(known, client, clock()) ? known : undefined;
}

/** Returns the form in which a key's use is counted. */
export function presentedValueOf({ key, secret }: PresentedAccessKey): PresentedSecret {
  return { owner: key.id, generation: secret.generation, epoch: key.tokenEpoch };
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

/** Returns why a client must not use an access key, presented by this value, or undefined if it may. */
export function refusalOfPresentedKey({ key, secret }: PresentedAccessKey, client: string, now: number) {
  return refusalOfSecret(secret, now) ?? refusalOfKey(key, client, now);
}
