import type { Client } from './client.ts';
import type { ForeignClient } from './foreign-client.ts';
import { scopesOfferedBy } from './offered-scopes.ts';

/** Leaves out what clients of another server have and what has no meaning here. */

/** Scopes of OpenID Connect and of Keycloak itself. They describe a person and grant no access to an API. */
const withoutMeaning = new Set(
  'openid offline offline_access profile email address phone roles web-origins acr basic microprofile-jwt service_account organization role_list'.split(
    ' ',
  ),
);

/** Returns whether a scope is one of these. If a resource server offers a scope with this name, it has a meaning here. */
function isWithoutMeaning(scope: string): boolean {
  return withoutMeaning.has(scope);
}

/**
 * Returns a function that leaves scopes without a meaning, and the identifier of an unknown API, out of a client.
 * @param servers all resource servers.
 * @param dropUnknownScopes whether all scopes are left out that none of them offers.
 */
export function createTranslation(
  servers: readonly Client[],
  { dropUnknownScopes }: { dropUnknownScopes: boolean },
): (row: ForeignClient) => ForeignClient {
  const offered = scopesOfferedBy(servers);
  const resources = new Set(servers.map(({ resource }) => resource));
  const isKept = (one: string) => offered.has(one) || !(dropUnknownScopes || isWithoutMeaning(one));
  return (row) => {
    const scope = [...new Set(row.scope.filter(Boolean))];
    const defaultScope = row.details?.defaultScope?.split(' ').filter(Boolean).filter(isKept).join(' ');
    const { audience, resource = audience } = row;
    const isLost = resource === audience && audience !== undefined && !resources.has(audience);
    return {
      ...row,
      scope: scope.filter(isKept),
      details: row.details && { ...row.details, defaultScope },
      resource: isLost ? undefined : resource,
      notes: isLost
        ? [...row.notes, 'no resource server has the identifier of its API, so it has no default']
        : row.notes,
    };
  };
}
