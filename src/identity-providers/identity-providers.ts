import type { SignInSettings } from '../configuration/sign-in-settings.ts';
import type { KeyRing } from '../credentials/key-ring.ts';
import type { Log } from '../observability/log.ts';
import type { Queryable } from '../storage/database.ts';
import { deploymentOrganization } from '../storage/organization-limit.ts';
import { isUuid } from '../text/is-uuid.ts';
import { configuredProvider, configuredProviderId, type IdentityProvider } from './identity-provider.ts';
import { findProvider, findProvidersFor, listProviders } from './identity-provider-store.ts';
import { createProviderConnections, type ProviderConnections } from './provider-connections.ts';

/** All providers at which people can sign in: the one in the environment, and those in the database. */
export type IdentityProviders = ProviderConnections & {
  /** Returns the enabled provider with an id. */
  find(id: string): Promise<IdentityProvider | undefined>;
  /** Returns the enabled providers of the deployment itself. */
  ofDeployment(): Promise<IdentityProvider[]>;
  /** Returns the enabled providers of an organization, by its id, its external id, or an e-mail address or domain. */
  findFor(text: string): Promise<IdentityProvider[]>;
};

export function createIdentityProviders(
  deps: { database: Queryable; keyRing: KeyRing; log: Log },
  { sso, ssoNetworks }: SignInSettings,
): IdentityProviders {
  const configured = sso && configuredProvider(sso);
  return {
    ...createProviderConnections(ssoNetworks, deps.log),
    find: async (id) => {
      if (id === configuredProviderId) return configured;
      const provider = isUuid(id) ? await findProvider(deps, id) : undefined;
      return provider?.enabled ? provider : undefined;
    },
    ofDeployment: async () => {
      const stored = await listProviders(deps, deploymentOrganization);
      return [...(configured ? [configured] : []), ...stored.filter(({ enabled }) => enabled)];
    },
    findFor: (text) => findProvidersFor(deps, text),
  };
}
