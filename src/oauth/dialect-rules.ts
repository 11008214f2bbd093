import type { Context, Next } from 'koa';
import type { Dialects } from '../configuration/dialects.ts';
import { isOtherTokenPath, tokenPath } from '../http/token-path.ts';

/** Serves the token endpoint at the paths of other servers. */

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
