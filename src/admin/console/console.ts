import type { Context, Middleware } from 'koa';
import type { Core } from '../../core.ts';
import type { Endpoint } from '../endpoint.ts';
import { consolePages } from './pages.ts';
import { serveSite } from './serve-site.ts';
import { signInPages } from './sign-in/sign-in-pages.ts';

/**
 * Creates the console, the site of operators. Handles every path below `/console`.
 * @param endpoints the same instances that the API serves.
 */
export function createConsole(
  core: Core,
  endpoints: readonly Endpoint[],
  addressOf: (request: Context['req']) => string,
): Middleware {
  const signIn = signInPages(core, addressOf, (ctx) => core.config.adminUrl ?? `${ctx.protocol}://${ctx.host}`);
  return serveSite(core, endpoints, addressOf, { name: 'console', cookie: 'keyturn', pages: consolePages, signIn });
}
