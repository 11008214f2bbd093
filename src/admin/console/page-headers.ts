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
  // The search asks the server while typing.
  "connect-src 'self'",
  "font-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
];

/** Sets the security headers of pages. `Cache-Control: no-store` is set for every response of this listener. */
export async function setPageHeaders(ctx: Context, next: Next): Promise<void> {
  allowFrames(ctx, []);
  // `no-referrer` would make browsers send `Origin: null` with forms (Fetch, "append a request Origin header").
  ctx.set('Referrer-Policy', 'same-origin');
  ctx.set('Cross-Origin-Opener-Policy', 'same-origin');
  ctx.set('Cross-Origin-Resource-Policy', 'same-origin');
  await next();
}

/** Lets only pages of these origins show a page in a frame. */
export function allowFrames(ctx: Context, origins: readonly string[]): void {
  const ancestors = origins.length > 0 ? origins.join(' ') : "'none'";
  ctx.set('Content-Security-Policy', [...contentSecurityPolicy, `frame-ancestors ${ancestors}`].join('; '));
  // The header has no form for several origins. Browsers that know frame-ancestors ignore it.
  if (origins.length === 0) ctx.set('X-Frame-Options', 'DENY');
  else ctx.remove('X-Frame-Options');
}
