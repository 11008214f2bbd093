import { createTrustCache, type TrustCache } from './trust-cache.ts';
import { createTrustKeyring, type TrustKeyring } from './trust-keys.ts';

/** Issuers whose tokens stand for clients, and their public keys. */
export type FollowedTrusts = { trusts: TrustCache; trustKeyring: TrustKeyring };

export function followTrusts(
  deps: Parameters<typeof createTrustCache>[0] & Parameters<typeof createTrustKeyring>[0],
): FollowedTrusts {
  return { trusts: createTrustCache(deps), trustKeyring: createTrustKeyring(deps) };
}
