import type { Context, Next } from 'koa';
import { type Dialect, type Dialects, isAccepted } from '../configuration/dialects.ts';
import type { Core } from '../core.ts';
import { KeyturnError, TooManyRequests } from '../errors.ts';
import { wrongType } from '../http/read-body.ts';
import { isJsonRequest } from '../http/token-path.ts';
import { callerOf } from './client-authentication.ts';

/**
 * Returns the dialects that a request needs before its client is known, and that the deployment does not accept of every
 * client.
 */
function neededDialects(ctx: Context, dialects: Dialects): Dialect[] {
  const needed: Dialect[] = [];
  if (ctx.state['calledPath'] !== undefined) needed.push('other_paths');
  if (isJsonRequest(ctx.path, ctx.req.headers['content-type'])) needed.push('json_body');
  return needed.filter((dialect) => !dialects.has(dialect));
}

function refusalOf([first]: readonly Dialect[]): KeyturnError {
  if (first === 'other_paths') return new KeyturnError('not_found', 404, 'Path not found.');
  return wrongType('invalid_request', 'application/x-www-form-urlencoded');
}

/**
 * Answers requests in a dialect that only certain clients may use as if the dialect did not exist, until such a client is
 * authenticated. Without this, the answer to a wrong secret would show which clients exist.
 */
export function hideDialects({ config: { dialects } }: Core) {
  return (ctx: Context, next: Next): Promise<void> => {
    const needed = neededDialects(ctx, dialects);
    if (needed.length === 0) return next();
    ctx.state['neededDialects'] = needed;
    return next().catch((error: unknown) => {
      const isHidden = error instanceof KeyturnError && error.status < 500 && !(error instanceof TooManyRequests);
      if (!isHidden || ctx.state['neededDialects'] === undefined) throw error;
      ctx.state['hiddenError'] = error;
      throw refusalOf(needed);
    });
  };
}

/** Returns the error that an answer hides, for the operator. */
export function hiddenErrorOf(ctx: Context): unknown {
  return ctx.state['hiddenError'];
}

/** Rejects authenticated clients that may not use the dialect of their request. */
export function requireDialects({ clients, config: { dialects } }: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const needed = ctx.state['neededDialects'] as Dialect[] | undefined;
    if (!needed) return await next();
    const { client, clientId } = callerOf(ctx);
    const missingOf = (of: typeof client | undefined) => needed.filter((dialect) => !isAccepted(dialect, dialects, of));
    // Another process may just have switched the dialect on.
    const isMissing = missingOf(client).length > 0;
    const missing = isMissing ? missingOf((await clients.findRecent(clientId))?.client) : [];
    ctx.state['neededDialects'] = undefined;
    if (missing.length > 0) throw refusalOf(missing);
    await next();
  };
}
