import type { Context, Next } from 'koa';
import type { Config } from '../config.ts';
import { Forbidden, KeyturnError } from '../errors.ts';
import { createHostCheck } from '../http/host-check.ts';

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const wildcards = ['0.0.0.0', '::'];

/**
 * Answers only under names that are ours. A page elsewhere can point a name of its own at this listener's address (DNS
 * rebinding), but the browser then says that name.
 */
export function requireKnownHost({ adminHost, issuer, allowedHosts }: Config) {
  const own = wildcards.includes(adminHost) ? [] : [adminHost.includes(':') ? `[${adminHost}]` : adminHost];
  const isKnownHost = createHostCheck([...loopback, ...own, new URL(issuer).hostname, ...allowedHosts]);
  return async (ctx: Context, next: Next): Promise<void> => {
    if (!isKnownHost(ctx.req.headers.host ?? '')) {
      throw new KeyturnError('misdirected_request', 421, 'This server does not answer for that host.');
    }
    await next();
  };
}

/** A browser says where a request that changes something comes from: from another site's page it is nobody's wish. */
export async function requireOwnOrigin(ctx: Context, next: Next): Promise<void> {
  const { origin, host } = ctx.req.headers;
  const isRead = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (origin !== undefined && !isRead && !isOrigin(origin, host ?? '')) {
    throw new Forbidden('The request comes from a page of another origin.');
  }
  await next();
}

/** Either scheme: one host and port serve one of them, and TLS may end before this process. */
function isOrigin(origin: string, host: string): boolean {
  return [`http://${host}`, `https://${host}`].includes(origin.toLowerCase());
}
