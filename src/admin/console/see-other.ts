import type { Context } from 'koa';

/** RFC 9110 §15.4.4: after something was done, look here; a reload of that page does nothing again. */
export function seeOther(ctx: Context, path: string): void {
  ctx.status = 303;
  ctx.set('Location', path);
  ctx.body = '';
}
