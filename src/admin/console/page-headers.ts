import type { Context, Next } from 'koa';

/**
 * Allows only resources of this server, and forbids inline scripts and styles, frames around the page, and forms that
 * submit to other origins.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** Sets the security headers of console pages. `Cache-Control: no-store` is set for every response of this listener. */
export async function setPageHeaders(ctx: Context, next: Next): Promise<void> {
  ctx.set('Content-Security-Policy', contentSecurityPolicy);
  ctx.set('X-Frame-Options', 'DENY');
  // `no-referrer` would make browsers send `Origin: null` with forms (Fetch, "append a request Origin header").
  ctx.set('Referrer-Policy', 'same-origin');
  ctx.set('Cross-Origin-Opener-Policy', 'same-origin');
  ctx.set('Cross-Origin-Resource-Policy', 'same-origin');
  await next();
}
