import type { Context, Next } from 'koa';
import { Forbidden } from '../../../errors.ts';

/**
 * Rejects state-changing requests without an Origin header. Browsers send one with every form, so such a request does
 * not come from a console page. `requireOwnOrigin` has already rejected other origins.
 */
export async function requireOwnPage(ctx: Context, next: Next): Promise<void> {
  const isRead = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!isRead && ctx.req.headers.origin === undefined) {
    throw new Forbidden('The form does not say which page it comes from.');
  }
  await next();
}
