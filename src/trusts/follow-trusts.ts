import type { IdentitySettings } from '../http/identity-settings.ts';
import { createTrustCache, type TrustCache } from './trust-cache.ts';
import { createTrustKeyring, type TrustKeyring } from './trust-keys.ts';

/** Issuers whose tokens stand for clients, their public keys, and what else is accepted instead of a client. */
export type FollowedTrusts = Omit<IdentitySettings, 'trusts'> & { trusts: TrustCache; trustKeyring: TrustKeyring };

type Deps = Parameters<typeof createTrustCache>[0] &
  Omit<Parameters<typeof createTrustKeyring>[0], 'settings'> & { settings: IdentitySettings };

export function followTrusts({ settings, ...deps }: Deps): FollowedTrusts {
  const { standaloneKeys, exchangePairs, trusts } = settings;
  const trustKeyring = createTrustKeyring({ ...deps, settings: trusts });
  return { standaloneKeys, exchangePairs, trusts: createTrustCache(deps), trustKeyring };
}
