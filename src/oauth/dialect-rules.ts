import type { Context, Next } from 'koa';
import type { Dialects } from '../configuration/dialects.ts';
import { hasMediaType } from '../http/read-body.ts';

/** Deviations in the requests of other servers' clients. The listener and the rehearsal of a move call these functions. */

export const tokenPath = '/oauth2/token';

/** The paths of the token endpoint of Auth0; IdentityServer and Duende; Keycloak, before version 17 with `/auth`. */
const otherTokenPath = /^\/(oauth\/token|connect\/token|(auth\/)?realms\/[^/]+\/protocol\/openid-connect\/token)$/;

/** Returns whether another server has its token endpoint at this path. */
export function isOtherTokenPath(path: string): boolean {
  return otherTokenPath.test(path);
}

/** Returns whether the token endpoint answers at this path. */
export function isTokenPath(path: string, dialects: Dialects): boolean {
  return path === tokenPath || (dialects.has('other_paths') && isOtherTokenPath(path));
}

/** Returns whether a request has its parameters in JSON. Only token requests may. */
export function isJsonRequest(path: string, contentType: string | undefined, dialects: Dialects): boolean {
  return dialects.has('json_body') && path === tokenPath && hasMediaType(contentType, 'application/json');
}

/**
 * Serves the token endpoint at the paths of other servers, if that is on. All that follows, including logs and metrics,
 * sees the path of the token endpoint: the name of a realm is whatever a caller writes.
 */
export function serveOtherPaths(dialects: Dialects) {
  return (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== tokenPath && isTokenPath(ctx.path, dialects)) {
      ctx.state['calledPath'] = ctx.path;
      ctx.path = tokenPath;
      ctx.originalUrl = ctx.url;
    }
    return next();
  };
}

/** Returns the path at which a client called the token endpoint. */
export function calledTokenPath(ctx: Context): string {
  return (ctx.state['calledPath'] as string | undefined) ?? tokenPath;
}
