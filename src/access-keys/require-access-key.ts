import { isLive } from '../credentials/secret.ts';
import { KeyturnError } from '../errors.ts';
import type { PresentedSecret } from '../regeneration/usage-counter.ts';
import type { Transaction } from '../storage/database.ts';
import { withDeadline } from '../storage/with-deadline.ts';
import { isUsable, statusOf } from './access-key.ts';
import type { AccessKeyCache, PresentedAccessKey } from './access-key-cache.ts';
import { markAccessKeyUsed } from './access-key-store.ts';

export type AccessKeyDeps = {
  accessKeys: AccessKeyCache;
  clock: () => number;
  change<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
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

/** As its use is counted. */
export function presentedValueOf({ key, secret }: PresentedAccessKey): PresentedSecret {
  return { owner: key.id, generation: secret.generation, epoch: key.tokenEpoch };
}

/** Once in a key's life, so it may take longer than what every request waits for. */
const firstUseMs = 1_000;

/**
 * A key's first use is written before it is answered, for a used key can never be removed. All later uses are only counted.
 * @throws {RefusedAccessKey} when it was removed in the meantime.
 */
export async function recordFirstUse(deps: AccessKeyDeps, { key }: PresentedAccessKey): Promise<void> {
  if (key.usedAt !== null) return;
  const at = new Date(deps.clock());
  const isThere = await withDeadline(
    deps.change((transaction) => markAccessKeyUsed(transaction, key.id, at)),
    'database',
    firstUseMs,
  );
  if (!isThere) throw new RefusedAccessKey();
}

function refusalOf({ key, secret }: PresentedAccessKey, client: string, now: number): string | undefined {
  if (secret.endedAs === 'undone') return 'undone_secret';
  if (!isLive(secret, now)) return 'retired_secret';
  if (isUsable(key, client, now)) return undefined;
  const status = statusOf(key, now);
  return status === 'enabled' ? 'other_client' : `access_key_${status}`;
}
