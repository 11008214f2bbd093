import { isLive } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import type { PresentedSecret } from '../regeneration/usage-counter.ts';
import type { Queryable } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { type AccessKey, isUsable, statusOf } from './access-key.ts';
import type { AccessKeyCache, PresentedAccessKey } from './access-key-cache.ts';
import { markAccessKeyUsed } from './access-key-store.ts';

export type AccessKeyDeps = {
  accessKeys: AccessKeyCache;
  clock: () => number;
  database: Queryable;
};

/**
 * The one answer to every access key that is not good for a request: unknown, disabled, ended, expired, or not for this client.
 * Why is only counted.
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
 * The access key of this value, good for the client now.
 * @param client the client's id.
 * @throws {RefusedAccessKey}
 */
export async function requireAccessKey(
  deps: AccessKeyDeps,
  value: string,
  client: string,
): Promise<PresentedAccessKey> {
  const known = await deps.accessKeys.findByValue(value);
  if (known && !refusalOf(known, client, deps.clock())) return known;
  // Looked at anew before it is refused: another process may have made or enabled it just now.
  const recent = await deps.accessKeys.findRecentByValue(value);
  if (!recent) throw new RefusedAccessKey();
  const reason = refusalOf(recent, client, deps.clock());
  if (reason) throw new RefusedAccessKey({ secret: presentedValueOf(recent), reason });
  return recent;
}

/** The same from memory alone, where it is good for the client and was used before; undefined says nothing about it. */
export function recallAccessKey(
  { accessKeys, clock }: AccessKeyDeps,
  value: string,
  client: string,
): PresentedAccessKey | undefined {
  const known = accessKeys.peekByValue(value);
  return known && known.key.usedAt !== null && !refusalOf(known, client, clock()) ? known : undefined;
}

/** As its use is counted. */
export function presentedValueOf({ key, secret }: PresentedAccessKey): PresentedSecret {
  return { owner: key.id, generation: secret.generation, epoch: key.tokenEpoch };
}

/**
 * A key's first use is written before it is answered, for a used key can never be removed. All later uses are only counted. Where that takes
 * longer than a request can wait it goes on, and who asks again finds it done.
 * @throws {RefusedAccessKey} when it was removed in the meantime.
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

/** By the key as this process has it cached: many who use it first at once cause one write. */
const firstUses = new WeakMap<AccessKey, Promise<boolean>>();

async function writeFirstUse({ database, clock }: Pick<AccessKeyDeps, 'database' | 'clock'>, key: AccessKey) {
  try {
    const at = new Date(clock());
    const isThere = await markAccessKeyUsed(database, key.id, at);
    // What is cached is told of it here, so that nobody else has to forget the key for this.
    if (isThere) key.usedAt = at;
    return isThere;
  } finally {
    firstUses.delete(key);
  }
}

function refusalOf({ key, secret }: PresentedAccessKey, client: string, now: number): string | undefined {
  if (secret.endedAs === 'undone') return 'undone_secret';
  if (!isLive(secret, now)) return 'retired_secret';
  if (isUsable(key, client, now)) return undefined;
  const status = statusOf(key, now);
  return status === 'enabled' ? 'other_client' : `access_key_${status}`;
}
