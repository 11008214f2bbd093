import type { Context, Next } from 'koa';
import type { Config } from '../config.ts';
import { Forbidden, KeyturnError } from '../errors.ts';
import { createHostCheck } from '../http/host-check.ts';

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const wildcards = ['0.0.0.0', '::'];

/**
 * Rejects requests whose Host is not a configured name. This prevents DNS rebinding: an attacker's page can point its
 * own name at this listener, but the browser then sends that name as the Host.
 */
export function requireKnownHost({ adminHost, issuer, allowedHosts }: Config) {
  const own = wildcards.includes(adminHost) ? [] : [adminHost.includes(':') ? `[${adminHost}]` : adminHost];
  const isKnownHost = createHostCheck([...loopback, ...own, new URL(issuer).hostname, ...allowedHosts]);
  return async (ctx: Context, next: Next): Promise<void> => {
    if (!isKnownHost(ctx.req.headers.host ?? '')) {
      throw new KeyturnError('misdirected_request', 421, 'This server does not serve the host in the Host header.');
    }
    await next();
  };
}

/**
 * Rejects state-changing requests whose Origin is another site (cross-site request forgery). Browsers send Origin with
 * every such request.
 */
export async function requireOwnOrigin(ctx: Context, next: Next): Promise<void> {
  const { origin, host } = ctx.req.headers;
  const isRead = ctx.method === 'GET' || ctx.method === 'HEAD';
  if (origin !== undefined && !isRead && !isOrigin(origin, host ?? '')) {
    throw new Forbidden('Requests from pages of other origins are not allowed.');
  }
  await next();
}

/** Accepts either scheme: a host and port serve only one of them, and a proxy may terminate TLS. */
function isOrigin(origin: string, host: string): boolean {
  return [`http://${host}`, `https://${host}`].includes(origin.toLowerCase());
}
