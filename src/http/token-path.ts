import { hasMediaType } from './read-body.ts';

/** The path of the token endpoint, and those of other servers. */

export const tokenPath = '/oauth2/token';

/** The paths of the token endpoint of Auth0; IdentityServer and Duende; Keycloak, before version 17 with `/auth`. */
const otherTokenPath = /^\/(oauth\/token|connect\/token|(auth\/)?realms\/[^/]+\/protocol\/openid-connect\/token)$/;

/** Returns whether another server has its token endpoint at this path. */
export function isOtherTokenPath(path: string): boolean {
  return otherTokenPath.test(path);
}

/** Returns whether a request has its parameters in JSON. Only token requests may. */
export function isJsonRequest(path: string, contentType: string | undefined): boolean {
  return path === tokenPath && hasMediaType(contentType, 'application/json');
}
