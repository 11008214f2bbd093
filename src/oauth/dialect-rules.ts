import type { Context, Next } from 'koa';
import { type Dialect, type Dialects, isAccepted } from '../configuration/dialects.ts';
import { hasMediaType } from '../http/read-body.ts';
import { type Form, repeatedParameter } from './form.ts';

/** Deviations in the requests of other servers' clients. The listener and the rehearsal of a move call these functions. */

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

/**
 * Serves the token endpoint at the paths of other servers. All that follows, including logs and metrics, sees the path of
 * the token endpoint, because callers choose the name of a realm.
 */
export function serveOtherPaths(dialects: Dialects) {
  return (ctx: Context, next: Next): Promise<void> => {
    // Without the dialect, another method gets 404 and not 405, because the path exists only for certain clients.
    if (isOtherTokenPath(ctx.path) && (dialects.has('other_paths') || ctx.method === 'POST')) {
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

/**
 * Returns the resources that a token request names: `audience` counts as `resource` if the dialect is accepted of the
 * client and there is no `resource`.
 * @throws {KeyturnError} `invalid_request` if `audience` is a parameter like any other, and repeated.
 */
export function targetsOf(
  { resources, audiences }: Pick<Form, 'resources' | 'audiences'>,
  deployment: Dialects,
  client: { dialects: readonly Dialect[] },
): readonly string[] {
  if (audiences.length === 0) return resources;
  if (!isAccepted('audience', deployment, client)) {
    if (audiences.length > 1) throw repeatedParameter();
    return resources;
  }
  return resources.length === 0 ? audiences.filter((audience) => audience !== '') : resources;
}
