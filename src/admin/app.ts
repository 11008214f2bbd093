import Router from '@koa/router';
import Koa, { type Context, type Next } from 'koa';
import type { Config } from '../config.ts';
import type { Core } from '../core.ts';
import { Forbidden, KeyturnError } from '../errors.ts';
import { createAddressReader } from '../http/client-address.ts';
import { createHostCheck, normalize } from '../http/normalize-request.ts';
import { createProxyAlarm } from '../http/trusted-proxies.ts';
import { metricsContentType, presentMetrics } from '../observability/metrics.ts';
import { collectFromWorkers } from '../observability/worker-metrics.ts';
import { createConsole } from './console/console.ts';
import { adminEndpoints } from './endpoints.ts';
import { serveOpenApi } from './openapi.ts';
import { authenticateBearer, requirePermission } from './operator-auth.ts';
import { respondWithProblem } from './problem.ts';
import { logAccess, recordRefusals } from './request-log.ts';
import { serveEndpoint } from './serve-endpoint.ts';

/** Creates the admin listener, which serves the admin API, the console and metrics. */
export function createAdminApp(core: Core): Koa {
  const addressOf = createAddressReader(core.config.trustProxy, createProxyAlarm(core));
  const endpoints = adminEndpoints(core);

  const router = new Router({ prefix: '/admin/v1', sensitive: true, strict: true });
  router.get('/openapi.json', serveOpenApi(endpoints));
  const authenticate = authenticateBearer(core, addressOf);
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/\{(\w+)\}/g, ':$1');
    router[endpoint.method](path, authenticate, requirePermission(endpoint.permission), serveEndpoint(endpoint));
  }

  const app = new Koa();
  app.use(logAccess(core, addressOf));
  app.use(recordRefusals(core, addressOf));
  app.use(respondWithProblem(core.log));
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
