import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { createRehearsal } from '../../audit/audit-log.ts';
import type { Core } from '../../core.ts';
import type { Endpoint } from '../endpoint.ts';
import { adminEndpoints } from '../endpoints.ts';
import { respondWithError } from '../respond-with-error.ts';
import { createConsoleCalls } from './console-calls.ts';
import { renderErrorPage } from './error-page.ts';
import { chooseLanguage, speakLanguage } from './languages/choose-language.ts';
import type { Page } from './page.ts';
import { setPageHeaders } from './page-headers.ts';
import { seeOther } from './post-redirect-get.ts';
import { serveAsset } from './render-document.ts';
import { type Proving, servePage } from './serve-page.ts';
import {
  clearSessionCookie,
  forgetSession,
  readSessionCookie,
  requireOwnPage,
  requireSession,
} from './sign-in/session.ts';
import { createPageCheck, enterSite, type Site, siteOf } from './site.ts';

/** A site with its pages, and its way to sign in. */
export type SiteParts = Pick<Site, 'name' | 'cookie'> & {
  pages: readonly Page[];
  signIn: Proving & {
    /** Adds the routes that need no session. */
    addRoutes(router: Router): void;
    /** Adds the routes that need a session. */
    addClosedRoutes(router: Router): void;
    /** Loads what every page shows, before and after the session is known. */
    prepare?(ctx: Context): Promise<void>;
    /** Answers a form that arrives without a session. */
    keepForm(ctx: Context): Promise<void>;
  };
};

/**
 * Creates a site: web pages that use the endpoints of the admin API. Handles every path below its name.
 * @param endpoints the same instances that the API serves, so that rate limits count calls of both together.
 */
export function serveSite(
  core: Core,
  endpoints: readonly Endpoint[],
  addressOf: (request: Context['req']) => string,
  { name, cookie, pages, signIn }: SiteParts,
): Middleware {
  const site: Site = { name, cookie, hasPage: createPageCheck(pages) };
  const open = new Router({ prefix: '/console', sensitive: true, strict: true });
  const assets = new Router({ prefix: '/console', sensitive: true, strict: true });
  assets.get('/assets/:name', serveAsset);
  open.post('/language', chooseLanguage);
  open.post('/sign-out', signOut(core));
  signIn.addRoutes(open);
  const prepare: Middleware = async (ctx, next) => {
    await signIn.prepare?.(ctx);
    await next();
  };

  const rehearsed = adminEndpoints({ ...core, change: createRehearsal(core) });
  const api = createConsoleCalls(core, endpoints, rehearsed);
  const closed = new Router({ prefix: '/console', sensitive: true, strict: true });
  signIn.addClosedRoutes(closed);
  for (const page of pages) closed[page.method](page.path, servePage(core, api, signIn, page));

  const serve = chain([
    setPageHeaders,
    speakLanguage,
    respondWithError(core.log, 'page', renderErrorPage),
    requireOwnPage,
    assets.routes() as Middleware,
    prepare,
    open.routes() as Middleware,
    requireSession(core, addressOf, signIn.keepForm),
    prepare,
    closed.routes() as Middleware,
    closed.allowedMethods() as Middleware,
  ]);
  return async (ctx, next) => {
    if (ctx.path === `/${name}`) {
      ctx.state['site'] = site;
      return seeOther(ctx, '/console/');
    }
    await (enterSite(ctx, site) ? serve(ctx, async () => undefined) : next());
  };
}

function signOut({ database }: Core) {
  return async (ctx: Context): Promise<void> => {
    const cookie = readSessionCookie(ctx);
    if (cookie !== undefined) await forgetSession(database, siteOf(ctx).name, cookie);
    clearSessionCookie(ctx);
    // Also clear the pages that the browser has cached (W3C Clear Site Data).
    ctx.set('Clear-Site-Data', '"cache"');
    seeOther(ctx, '/console/sign-in');
  };
}

/** Composes middleware; each part wraps the ones after it. */
function chain(parts: readonly Middleware[]): Middleware {
  const [first, ...rest] = parts;
  if (!first) return (_ctx, next) => next();
  const after = chain(rest);
  return (ctx, next) => first(ctx, () => after(ctx, next));
}
