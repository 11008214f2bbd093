import { type AccessKey, refusalOfKey } from '../access-keys/access-key.ts';
import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { refusalOfSecret, type Secret } from '../credentials/secret.ts';
import type { TokenRecord } from './token-record.ts';
import type { TokenDeps, TokenRefusal } from './token-rules.ts';

/** Access keys that stand alone. Such a key is presented as a token: one of its contact, without a client. */

/** A stand-alone key as a token. @property standalone the key with the value that was presented. */
export type FoundStandaloneKey = {
  record: TokenRecord;
  client: undefined;
  key: AccessKey;
  standalone: PresentedAccessKey;
};

/**
 * Returns a well-formed value of an access key as a token, or why it is not one.
 * @throws {StoreUnavailable} if that cannot be determined.
 */
export async function judgeStandaloneKey(
  deps: TokenDeps,
  value: string,
): Promise<FoundStandaloneKey | ({ refusal: TokenRefusal } & Partial<FoundStandaloneKey>)> {
  const known = await deps.accessKeys.findByValue(value);
  if (known && !refusalOf(deps, known)) return foundAs(known);
  // Reload before rejecting: another process may just have created, enabled or changed the key.
  const presented = await deps.accessKeys.findRecentByValue(value);
  if (!presented) return { refusal: 'unknown_token' };
  const refusal = refusalOf(deps, presented);
  return refusal ? { refusal, ...foundAs(presented) } : foundAs(presented);
}

/**
 * Returns the result of `judgeStandaloneKey` from the cache, for a key that was used before. Undefined does not mean that
 * the key is not valid.
 */
export function recallStandaloneKey(deps: TokenDeps, value: string): FoundStandaloneKey | undefined {
  const known = deps.accessKeys.peekByValue(value);
  return known && known.key.usedAt !== null && !refusalOf(deps, known) ? foundAs(known) : undefined;
}

function refusalOf(
  { clock, standaloneKeys }: TokenDeps,
  { key, secret }: PresentedAccessKey,
): TokenRefusal | undefined {
  const ended = refusalOfSecret(secret, clock());
  if (ended) return ended;
  return standaloneKeys ? refusalOfKey(key, undefined, clock()) : 'not_standalone';
}

/** Records by value of a key. A value is replaced together with its key, so the record follows every change. */
const records = new WeakMap<Secret, TokenRecord>();

function foundAs(standalone: PresentedAccessKey): FoundStandaloneKey {
  const { key, secret } = standalone;
  let record = records.get(secret);
  if (!record) {
    record = {
      // No other token has this ID, and only tokens are revoked one by one.
      jti: '',
      clientId: undefined,
      epoch: 0,
      generation: 0,
      issuedAt: secret.createdAt.getTime(),
      expiresAt: endOf(standalone) / 1_000,
      scope: key.scope.join(' '),
      scopeVersions: undefined,
      resource: undefined,
      accessKey: { id: key.id, epoch: key.tokenEpoch, generation: secret.generation },
      confirmation: undefined,
    };
    records.set(secret, record);
  }
  return { record, client: undefined, key, standalone };
}

/** Returns when the key or its value ends, in milliseconds since the epoch; `Infinity` if neither does. */
function endOf({ key, secret }: PresentedAccessKey): number {
  const ends = [key.expiresAt, secret.retiresAt].map((end) => end?.getTime() ?? Number.POSITIVE_INFINITY);
  return Math.min(...ends);
}
