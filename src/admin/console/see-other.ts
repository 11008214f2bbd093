import type { Context } from 'koa';

/** Redirects with 303 (RFC 9110 §15.4.4), so that reloading the target page does not repeat the action. */
export function seeOther(ctx: Context, path: string): void {
  ctx.status = 303;
  ctx.set('Location', path);
  ctx.body = '';
}
