import type { Context } from 'koa';
import { unnamedDeployment } from '../../organizations/organization.ts';
import type { PortalSettings } from '../../organizations/portal-settings.ts';
import { t } from './languages/translate.ts';

/**
 * A website that is made of the pages of the console. Pages write canonical paths, which begin with `/console`. A request
 * is given its canonical path before it is served, and `addressOn` turns the paths in its response into those of the site.
 */
export type Site = {
  /** First part of the addresses of its pages. */
  name: 'console' | 'portal';
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

/** Makes pages look like a product of the host. */
export function showLook(ctx: Context, look: PortalSettings): void {
  ctx.state['look'] = { ...look, name: look.name === null ? null : shownProvider(look.name) };
}

/** Returns the name of the deployment for people of organizations. Only the name that nobody has chosen is translated. */
export function shownProvider(name: string): string {
  return name === unnamedDeployment ? t('This deployment') : name;
}

/** Returns how the page of a request looks; undefined for Keyturn's own look. */
export function lookOf(ctx: Context): PortalSettings | undefined {
  return ctx.state['look'] as PortalSettings | undefined;
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
  if (!ctx.path.startsWith(`/${site.name}/`)) return false;
  ctx.state['site'] = site;
  ctx.url = `${canonical}${ctx.url.slice(site.name.length + 1)}`;
  return true;
}

/** Returns the address of a canonical path on a site. Other addresses are returned unchanged. */
export function addressOn(site: Pick<Site, 'name'>, path: string): string {
  return path.startsWith(`${canonical}/`) ? `/${site.name}${path.slice(canonical.length)}` : path;
}
