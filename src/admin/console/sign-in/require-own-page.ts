import type { Context, Next } from 'koa';
import { Forbidden } from '../../../errors.ts';

/**
 * A browser names the page that a form was sent from, so a form without one was not sent by a browser from here. A foreign one was
 * refused before.
 */
export async function requireOwnPage(ctx: Context, next: Next): Promise<void> {
  const isRead = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (!isRead && ctx.req.headers.origin === undefined) {
    throw new Forbidden('The form does not say which page it comes from.');
  }
  await next();
}
