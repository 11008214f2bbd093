import type { Context, Next } from 'koa';
import type { Core } from '../../../core.ts';
import { Forbidden } from '../../../errors.ts';
import type { Operator } from '../../operator-auth.ts';
import { seeOther } from '../see-other.ts';
import { findSession } from './session.ts';

/**
 * Requires a session. Other requests are redirected to the sign-in page, except POST.
 * @param askSignIn answers a POST request without a session.
 */
export function requireSession(
  core: Core,
  addressOf: (request: Context['req']) => string,
  askSignIn: (ctx: Context) => Promise<void>,
) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const cookie = readSessionCookie(ctx);
    const session = cookie === undefined ? undefined : await findSession(core.database, cookie, core.clock());
    if (!session) {
      if (ctx.method === 'POST') return await askSignIn(ctx);
      const isStart = ctx.path === '/console/';
      return seeOther(ctx, `/console/sign-in${isStart ? '' : `?next=${encodeURIComponent(ctx.url)}`}`);
    }
    ctx.state['session'] = session;
    // The access log reads the operator too, as for requests to the API.
    ctx.state['operator'] = { ...session.operator, address: addressOf(ctx.req) } satisfies Operator;
    await next();
  };
}

/** The names of a cookie with and without TLS. */
type CookieNames = { secure: string; plain: string };

const securePrefix = '__Host-';

/**
 * Returns the names of a cookie. Browsers accept a cookie with the prefix `__Host-` only over TLS and only for this host
 * (RFC 6265bis §4.1.3.2).
 */
export function cookieNames(plain: string): CookieNames {
  return { secure: `${securePrefix}${plain}`, plain };
}

const sessionNames = cookieNames('keyturn');

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
  const secure = ctx.cookies.get(sessionNames.secure);
  if (secure !== undefined || isSecure(ctx)) return secure;
  const plain = ctx.cookies.get(sessionNames.plain);
  return plain?.startsWith(secureMark) ? undefined : plain;
}

export function setSessionCookie(ctx: Context, value: string): void {
  setCookie(ctx, sessionNames, value);
}

/** Sets a cookie that only this host reads. @param more further attributes, each after `; `. */
export function setCookie(ctx: Context, names: CookieNames, value: string, more = ''): void {
  const isOverTls = isSecure(ctx);
  const attributes = `Path=/; HttpOnly; SameSite=Strict${more}${isOverTls ? '; Secure' : ''}`;
  ctx.append('Set-Cookie', `${isOverTls ? names.secure : names.plain}=${value}; ${attributes}`);
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
  for (const name of [sessionNames.secure, sessionNames.plain]) clearCookie(ctx, name);
}

/** Removes a cookie that `setCookie` has set under this name. */
export function clearCookie(ctx: Context, name: string): void {
  const secure = name.startsWith(securePrefix) ? '; Secure' : '';
  ctx.append('Set-Cookie', `${name}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0${secure}`);
}

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
