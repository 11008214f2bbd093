import type { Context } from 'koa';

/** RFC 6265bis §4.1.3.2: with this prefix, a browser takes it from this host alone, over TLS alone. */
const secureName = '__Host-keyturn';
const plainName = 'keyturn';
/** Marks the value of a session that was started over TLS, so that it is not accepted under the name that anybody can set. */
const secureMark = 's_';

/**
 * The value of the session's cookie. A cookie with the plain name, which a page of another port or of a subdomain can set, counts only
 * for a session that was started without TLS, and in a request that shows no TLS.
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

/** Begins the value of a session that this request starts. */
export function sessionMark(ctx: Context): string {
  return isSecure(ctx) ? secureMark : '';
}

/** Whether the browser uses TLS. It says so itself in a form's Origin, since a proxy may end TLS before this process. */
function isSecure(ctx: Context): boolean {
  return ctx.secure || ctx.get('Origin').toLowerCase().startsWith('https:');
}

export function clearSessionCookie(ctx: Context): void {
  const attributes = 'Path=/; HttpOnly; SameSite=Strict; Max-Age=0';
  ctx.set('Set-Cookie', [`${secureName}=; ${attributes}; Secure`, `${plainName}=; ${attributes}`]);
}
