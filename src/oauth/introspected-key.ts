import type { PresentedAccessKey } from '../access-keys/access-key-cache.ts';
import { presentedValueOf } from '../access-keys/require-access-key.ts';
import type { Core } from '../core.ts';
import { readAddress, unreadableAddress } from '../http/client-address.ts';
import type { LiveToken } from '../tokens/seen-token.ts';
import type { PresentedSecret } from '../usage/usage-counter.ts';
import type { SourceName } from '../usage/usage-source.ts';
import { retirementOf } from './announce-retirement.ts';
import type { Form } from './form.ts';

/** What an introspection of a stand-alone access key says and counts beside that of a token. */

/** Use of an access key by the request that a resource server serves. */
export type KeyUse = { secret: PresentedSecret; source: SourceName };

/**
 * Returns the address that a resource server reports in `client_address`, from which its request came (RFC 7662 §2.1
 * allows such parameters), or undefined if it reports none that can be read.
 */
export function reportedAddress({ values }: Form): string | undefined {
  const reported = values.get('client_address');
  return reported === undefined ? undefined : readAddress(reported);
}

/** Returns the use of a key by its own source, which is not that of the introspection. */
export function useOfKey(presented: PresentedAccessKey, address: string | undefined): KeyUse {
  return {
    secret: presentedValueOf(presented),
    source: { address: address ?? unreadableAddress, userAgent: '' },
  };
}

/** Returns whether introspections of a token are counted: those of a key with a limit, and of tokens exchanged for it. */
export function isCounted({ record, accessKey }: LiveToken): boolean {
  return record.clientId === undefined && accessKey !== undefined && accessKey.requestsPerMinute !== null;
}

/**
 * Counts an introspection against the limit of a stand-alone key, and returns the members of the response that only such
 * keys have: when the presented value ends, and how many requests are left in this minute.
 */
export function countAndPresentKey({ accessKeyRate }: Pick<Core, 'accessKeyRate'>, live: LiveToken) {
  const { record, accessKey, standalone } = live;
  if (record.clientId !== undefined || !accessKey) return {};
  const { id, requestsPerMinute: limit } = accessKey;
  const retirement = retirementOf(standalone);
  const standing =
    retirement === undefined
      ? {}
      : { access_key_retirement: { since: seconds(retirement.since), until: seconds(retirement.until) } };
  if (limit === null) return standing;
  accessKeyRate.count(id);
  const { count, seconds: reset } = accessKeyRate.windowOf(id);
  return {
    ...standing,
    rate_limit: { limit, remaining: Math.max(0, limit - count), reset, exceeded: count > limit },
  };
}

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1_000);
}
