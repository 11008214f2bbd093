import type { Context, Next } from 'koa';
import type { Refusal } from '../audit/refusals.ts';
import type { Core } from '../core.ts';
import { isWellFormedClientId } from '../credentials/credential-format.ts';
import { Forbidden, KeyturnError } from '../errors.ts';
import { networkOf } from '../http/client-address.ts';
import { createHostCheck } from '../http/normalize-request.ts';
import { createRequestIds, strictTransport } from '../http/response-headers.ts';
import { isUuid } from '../text/is-uuid.ts';
import { addressOn, type Site } from './console/site.ts';
import type { Operator } from './operator-auth.ts';

/** Middleware of the listeners of people: that of the admin API and the console, and that of the portal. */

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const wildcards = ['0.0.0.0', '::'];

/**
 * Rejects requests whose Host is not a configured name. This prevents DNS rebinding: an attacker's page can point its
 * own name at this listener, but the browser then sends that name as the Host.
 * @param listener the host that it listens on, and its own URL.
 */
export function requireKnownHost({ config }: Core, { host, url }: { host: string; url: string }) {
  const own = wildcards.includes(host) ? [] : [host.includes(':') ? `[${host}]` : host];
  const isKnownHost = createHostCheck([...loopback, ...own, new URL(url).hostname, ...config.allowedHosts]);
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

/**
 * Writes one access-log line per request, and sets the headers that every response has.
 * @param listener its name in the log, and its own URL.
 */
export function logAccess(
  { config, log, metrics, tracing }: Core,
  addressOf: (request: Context['req']) => string,
  { name, url }: { name: 'admin' | 'portal'; url: string },
) {
  const transport = strictTransport({ issuer: url, tlsFiles: config.tlsFiles });
  const requestIdOf = createRequestIds(config.trustProxy);
  return async (ctx: Context, next: Next): Promise<void> => {
    const startedAt = performance.now();
    const id = requestIdOf(ctx.req);
    ctx.set('X-Request-Id', id);
    ctx.set('X-Content-Type-Options', 'nosniff');
    ctx.set('Cache-Control', 'no-store');
    if (transport) ctx.set('Strict-Transport-Security', transport);
    const address = addressOf(ctx.req);
    await next();
    metrics[`${name}Answered`](ctx.method, ctx.status);
    // Log the route instead of the path: a path may contain anything, even a secret that was pasted into the URL.
    const route = routeOf(ctx);
    tracing?.nameRoute(ctx.method, route);
    if (!config.accessLog) return;
    const operator = (ctx.state['operator'] as { id: string } | undefined)?.id;
    const ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
    const trace_id = tracing?.traceId();
    log.info({ id, method: ctx.method, route, status: ctx.status, ms, address, operator, trace_id }, `${name} request`);
  };
}

/** Returns the path of the route that served a request, with the names of its parameters; `other` if there is none. */
function routeOf(ctx: Context): string {
  const route = (ctx as { routerPath?: string }).routerPath ?? 'other';
  const site = ctx.state['site'] as Site | undefined;
  return site ? addressOn(site, route) : route;
}

/**
 * Records rejected requests to the API and the console in the audit log: invalid credentials by network, and requests
 * that an operator may not make, or makes too often, by operator.
 */
export function recordRefusals({ refusals }: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    // Read the address before the response: a closed socket no longer has one.
    const address = addressOf(ctx.req);
    await next();
    const refusal = refusalOf(ctx, address);
    if (refusal) await refusals.record(refusal);
  };
}

function refusalOf(ctx: Context, address: string): Refusal | undefined {
  const operator = ctx.state['operator'] as Operator | undefined;
  const route = routeOf(ctx);
  const request = [ctx.method, route, ...idsOf(ctx)].join(' ');
  if (ctx.state['presented'] && (ctx.status === 401 || ctx.status === 429)) {
    const actor = operator ?? { id: 'unknown', name: '', address };
    return { action: 'operator.refused', actor, targetType: 'address', target: networkOf(address) ?? address, request };
  }
  const isRefused = ctx.status === 403 || ctx.status === 429 || (ctx.status === 409 && route.endsWith('/reveal'));
  if (operator && isRefused) {
    return { action: 'request.refused', actor: operator, targetType: 'contact', target: operator.id, request };
  }
  return undefined;
}

/** Returns the ids in a path. Other values are omitted, because they may be secrets that were pasted into the URL. */
function idsOf(ctx: Context): string[] {
  const params = Object.values((ctx['params'] as Record<string, string> | undefined) ?? {});
  return params.filter((value) => isWellFormedClientId(value) || isUuid(value));
}
