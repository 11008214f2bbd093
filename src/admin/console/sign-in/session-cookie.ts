import type { Context } from 'koa';

/** RFC 6265bis §4.1.3.2: with this prefix, a browser takes it from this host alone, over TLS alone. */
const secureName = '__Host-keyturn';
const plainName = 'keyturn';

/** What is in the session's cookie; the one that came over TLS counts first. */
export function readSessionCookie(ctx: Context): string | undefined {
  return ctx.cookies.get(secureName) ?? ctx.cookies.get(plainName);
}

/** Whether the browser speaks TLS, it says itself: a proxy may end it before this process. */
export function setSessionCookie(ctx: Context, value: string): void {
  const isSecure = ctx.get('Origin').toLowerCase().startsWith('https:');
  const attributes = 'Path=/; HttpOnly; SameSite=Strict';
  ctx.set('Set-Cookie', `${isSecure ? secureName : plainName}=${value}; ${attributes}${isSecure ? '; Secure' : ''}`);
}

export function clearSessionCookie(ctx: Context): void {
  const attributes = 'Path=/; HttpOnly; SameSite=Strict; Max-Age=0';
  ctx.set('Set-Cookie', [`${secureName}=; ${attributes}; Secure`, `${plainName}=; ${attributes}`]);
}
