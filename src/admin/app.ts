import Router from '@koa/router';
import Koa, { type Context, type Next } from 'koa';
import type { Refusal } from '../audit/refusals.ts';
import type { Config } from '../config.ts';
import type { Core } from '../core.ts';
import { isWellFormedClientId } from '../credentials/credential-format.ts';
import { Forbidden, KeyturnError } from '../errors.ts';
import { createAddressReader, networkOf } from '../http/client-address.ts';
import { createHostCheck, normalize } from '../http/normalize-request.ts';
import { createRequestIds, strictTransport } from '../http/response-headers.ts';
import { createProxyAlarm } from '../http/trusted-proxies.ts';
import { metricsContentType, presentMetrics } from '../observability/metrics.ts';
import { collectFromWorkers } from '../observability/worker-metrics.ts';
import { serveEndpoint } from './call-endpoint.ts';
import { createConsole } from './console/console.ts';
import { adminEndpoints } from './endpoints.ts';
import { serveOpenApi } from './openapi.ts';
import { authenticateBearer, type Operator, requireAccess } from './operator-auth.ts';
import { servePublicOpenApi } from './public-openapi.ts';
import { renderProblem, respondWithError } from './respond-with-error.ts';

/** Creates the admin listener, which serves the admin API, the console and metrics. */
export function createAdminApp(core: Core): Koa {
  const addressOf = createAddressReader(core.config.trustProxy, createProxyAlarm(core));
  const endpoints = adminEndpoints(core);

  const router = new Router({ prefix: '/admin/v1', sensitive: true, strict: true });
  router.get('/openapi.json', serveOpenApi(endpoints));
  router.get('/public-openapi.json', servePublicOpenApi(core.config));
  const authenticate = authenticateBearer(core, addressOf);
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/\{(\w+)\}/g, ':$1');
    router[endpoint.method](path, authenticate, requireAccess(endpoint), serveEndpoint(endpoint));
  }

  const app = new Koa();
  app.use(logAccess(core, addressOf));
  app.use(recordRefusals(core, addressOf));
  app.use(respondWithError(core.log, 'resource', renderProblem));
  app.use(normalize);
  app.use(serveMetrics(core));
  app.use(requireKnownHost(core.config));
  app.use(requireOwnOrigin);
  app.use(createConsole(core, endpoints, addressOf));
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const wildcards = ['0.0.0.0', '::'];

/**
 * Rejects requests whose Host is not a configured name. This prevents DNS rebinding: an attacker's page can point its
 * own name at this listener, but the browser then sends that name as the Host.
 */
function requireKnownHost({ adminHost, issuer, allowedHosts }: Config) {
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
async function requireOwnOrigin(ctx: Context, next: Next): Promise<void> {
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
 * Serves `GET /metrics` for Prometheus. Requires no token and runs before the Host check, because Prometheus uses
 * the addresses that it discovers. The metrics contain no client IDs, names or addresses.
 */
function serveMetrics({ metrics }: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== '/metrics' || ctx.method !== 'GET') return await next();
    ctx.body = await presentMetrics(await collectFromWorkers(metrics.collect));
    ctx.set('Content-Type', metricsContentType);
  };
}

/** Writes one access-log line per request, and sets the headers that every response has. */
function logAccess({ config, log, metrics, tracing }: Core, addressOf: (request: Context['req']) => string) {
  const transport = strictTransport(config);
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
    metrics.adminAnswered(ctx.method, ctx.status);
    // Log the route instead of the path: a path may contain anything, even a secret that was pasted into the URL.
    const route = routeOf(ctx);
    tracing?.nameRoute(ctx.method, route);
    if (!config.accessLog) return;
    const operator = (ctx.state['operator'] as { id: string } | undefined)?.id;
    const ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
    const trace_id = tracing?.traceId();
    log.info({ id, method: ctx.method, route, status: ctx.status, ms, address, operator, trace_id }, 'admin request');
  };
}

/** Returns the path of the route that served a request, with the names of its parameters; `other` if there is none. */
function routeOf(ctx: Context): string {
  return (ctx as { routerPath?: string }).routerPath ?? 'other';
}

/**
 * Records rejected requests to the API and the console in the audit log: invalid credentials by network, and requests
 * that an operator may not make, or makes too often, by operator.
 */
function recordRefusals({ refusals }: Core, addressOf: (request: Context['req']) => string) {
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
  return params.filter(
    (value) => isWellFormedClientId(value) || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value),
  );
}
