import type { Context } from 'koa';

/** Browsers accept a cookie with this prefix only over TLS and only for this host (RFC 6265bis §4.1.3.2). */
const secureName = '__Host-keyturn';
const plainName = 'keyturn';
/**
 * Prefix of the cookie of a session that was started over TLS. Such a cookie is rejected under the plain name, which
 * other origins can set.
 */
const secureMark = 's_';

/**
 * Returns the value of the session cookie. The cookie with the plain name can be set by a page on another port or
 * subdomain, so it is accepted only for a session that was started without TLS, in a request that shows no sign of TLS.
 */
export function readSessionCookie(ctx: Context): string | undefined {
  const secure = ctx.cookies.get(secureName);
  if (secure !== undefined || isSecure(ctx)) return secure;
  const plain = ctx.cookies.get(plainName);
  return plain?.startsWith(secureMark) ? undefined : plain;
}

export function setSessionCookie(ctx: Context, value: string): void {
  const isOverTls = isSecure(ctx);
  const attributes = 'Path=/; HttpOnly; SameSite=Strict';
  ctx.set('Set-Cookie', `${isOverTls ? secureName : plainName}=${value}; ${attributes}${isOverTls ? '; Secure' : ''}`);
}

/** Returns the prefix for the cookie of a session that this request starts. */
export function sessionMark(ctx: Context): string {
  return isSecure(ctx) ? secureMark : '';
}

/** Returns whether the browser uses TLS. The Origin of a form shows this even if a proxy terminates TLS. */
function isSecure(ctx: Context): boolean {
  return ctx.secure || ctx.get('Origin').toLowerCase().startsWith('https:');
}

export function clearSessionCookie(ctx: Context): void {
  const attributes = 'Path=/; HttpOnly; SameSite=Strict; Max-Age=0';
  ctx.set('Set-Cookie', [`${secureName}=; ${attributes}; Secure`, `${plainName}=; ${attributes}`]);
}
