import type { Context, Next } from 'koa';
import type { Core } from '../../../core.ts';
import { KeyturnError } from '../../../errors.ts';
import type { Operator } from '../../operator-auth.ts';
import { seeOther } from '../see-other.ts';
import { findSession } from './session.ts';
import { readSessionCookie } from './session-cookie.ts';

/**
 * Requires a session. Other requests are redirected to the sign-in page, except POST.
 * @throws {KeyturnError} 401 for a POST request without a session.
 */
export function requireSession(core: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const cookie = readSessionCookie(ctx);
    const session = cookie === undefined ? undefined : await findSession(core.database, cookie, core.clock());
    if (!session) {
      if (ctx.method === 'POST')
        throw new KeyturnError('unauthenticated', 401, 'Your session has ended. Sign in again.');
      const isStart = ctx.path === '/console/';
      return seeOther(ctx, `/console/sign-in${isStart ? '' : `?next=${encodeURIComponent(ctx.url)}`}`);
    }
    ctx.state['session'] = session;
    // The access log reads the operator too, as for requests to the API.
    ctx.state['operator'] = { ...session.operator, address: addressOf(ctx.req) } satisfies Operator;
    await next();
  };
}
