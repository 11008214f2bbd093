import Router from '@koa/router';
import type { Context, Middleware, Next } from 'koa';
import { createRehearsal } from '../../audit/audit-log.ts';
import type { Core } from '../../core.ts';
import type { Endpoint } from '../endpoint.ts';
import { adminEndpoints } from '../endpoints.ts';
import { respondWithError } from '../respond-with-error.ts';
import { createConsoleCalls } from './console-calls.ts';
import { renderErrorPage } from './error-page.ts';
import { consolePages } from './pages.ts';
import { seeOther } from './post-redirect-get.ts';
import { serveAsset } from './render-document.ts';
import { servePage } from './serve-page.ts';
import { requireOwnPage, requireSession } from './sign-in/session.ts';
import { signInPages } from './sign-in/sign-in-pages.ts';

/**
 * Creates the console: web pages that use the endpoints of the admin API. Handles every path below `/console`.
 * @param endpoints the same instances that the API serves, so that rate limits count calls of both together.
 */
export function createConsole(
  core: Core,
  endpoints: readonly Endpoint[],
  addressOf: (request: Context['req']) => string,
): Middleware {
  const signing = signInPages(core, addressOf);
  const open = new Router({ prefix: '/console', sensitive: true, strict: true });
  open.get('/assets/:name', serveAsset);
  open.get('/sign-in', signing.showSignIn);
  open.post('/sign-in', signing.signIn);
  open.post('/sign-out', signing.signOut);

  const rehearsed = adminEndpoints({ ...core, change: createRehearsal(core) });
  const api = createConsoleCalls(core, endpoints, rehearsed);
  const closed = new Router({ prefix: '/console', sensitive: true, strict: true });
  closed.post('/prove', signing.proveAgain);
  for (const page of consolePages) closed[page.method](page.path, servePage(core, api, signing, page));

  const serve = chain([
    setPageHeaders,
    respondWithError(core.log, 'page', renderErrorPage),
    requireOwnPage,
    open.routes() as Middleware,
    requireSession(core, addressOf, signing.keepForm),
    closed.routes() as Middleware,
    closed.allowedMethods() as Middleware,
  ]);
  return async (ctx, next) => {
    if (ctx.path === '/console') return seeOther(ctx, '/console/');
    await (ctx.path.startsWith('/console/') ? serve(ctx, async () => undefined) : next());
  };
}

/** Composes middleware; each part wraps the ones after it. */
function chain(parts: readonly Middleware[]): Middleware {
  const [first, ...rest] = parts;
  if (!first) return (_ctx, next) => next();
  const after = chain(rest);
  return (ctx, next) => first(ctx, () => after(ctx, next));
}

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
  "frame-ancestors 'none'",
].join('; ');

/** Sets the security headers of console pages. `Cache-Control: no-store` is set for every response of this listener. */
async function setPageHeaders(ctx: Context, next: Next): Promise<void> {
  ctx.set('Content-Security-Policy', contentSecurityPolicy);
  ctx.set('X-Frame-Options', 'DENY');
  // `no-referrer` would make browsers send `Origin: null` with forms (Fetch, "append a request Origin header").
  ctx.set('Referrer-Policy', 'same-origin');
  ctx.set('Cross-Origin-Opener-Policy', 'same-origin');
  ctx.set('Cross-Origin-Resource-Policy', 'same-origin');
  await next();
}
