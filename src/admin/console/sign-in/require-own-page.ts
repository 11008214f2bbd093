import type { Context, Next } from 'koa';
import { Forbidden } from '../../../errors.ts';

/**
 * Rejects state-changing requests without an Origin header. Browsers send one with every form, so such a request does
 * not come from a console page. `requireOwnOrigin` has already rejected other origins.
 */
export async function requireOwnPage(ctx: Context, next: Next): Promise<void> {
  const isRead = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!isRead && ctx.req.headers.origin === undefined) {
    throw new Forbidden('The Origin header is missing, so it is not known which page the form comes from.');
  }
  await next();
}
