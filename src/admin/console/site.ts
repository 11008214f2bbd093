import type { Context } from 'koa';

/**
 * A website that is made of the pages of the console. Pages write canonical paths, which begin with `/console`. A request
 * is given its canonical path before it is served, and `addressOn` turns the paths in its response into those of the site.
 */
export type Site = {
  /** First part of the addresses of its pages. */
  base: '/console' | '/portal';
  /** Name of its session cookie without TLS. Cookies do not differ by port, so each site has its own. */
  cookie: string;
  /** Returns whether it has a page. @param path canonical, without a query. */
  hasPage(method: 'get' | 'post', path: string): boolean;
};

const canonical = '/console';

/**
 * Returns whether a page of a site may have this path.
 * @param pages paths below `/console`, such as `/clients/:client_id`.
 */
export function createPageCheck(pages: readonly { method: 'get' | 'post'; path: string }[]): Site['hasPage'] {
  const patternOf = (method: string) => {
    const paths = pages.filter((page) => page.method === method).map(({ path }) => path.replace(/:\w+/g, '[^/]+'));
    return new RegExp(`^${canonical}(?:${paths.join('|')})$`);
  };
  const patterns = { get: patternOf('get'), post: patternOf('post') };
  return (method, path) => patterns[method].test(path);
}

/** Returns the site that serves a request. */
export function siteOf(ctx: Context): Site {
  return ctx.state['site'] as Site;
}

/**
 * Starts to serve a request of a site, and gives it its canonical path.
 * @returns false if its path is not one of the site.
 */
export function enterSite(ctx: Context, site: Site): boolean {
  if (!ctx.path.startsWith(`${site.base}/`)) return false;
  ctx.state['site'] = site;
  ctx.url = `${canonical}${ctx.url.slice(site.base.length)}`;
  return true;
}

/** Returns the address of a canonical path on a site. Other addresses are returned unchanged. */
export function addressOn(site: Site, path: string): string {
  return path.startsWith(`${canonical}/`) ? `${site.base}${path.slice(canonical.length)}` : path;
}
