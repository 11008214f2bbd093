import Router from '@koa/router';
import Koa, { type Context, type Next } from 'koa';
import type { Core } from '../core.ts';
import { createAddressReader } from '../http/client-address.ts';
import { normalize } from '../http/normalize-request.ts';
import { createProxyAlarm } from '../http/trusted-proxies.ts';
import { metricsContentType, presentMetrics } from '../observability/metrics.ts';
import { collectFromWorkers } from '../observability/worker-metrics.ts';
import { serveBackChannelLogout } from './back-channel-logout.ts';
import { serveEndpoint } from './call-endpoint.ts';
import { serveCommandLineToken } from './command-line-token.ts';
import { createConsole } from './console/console.ts';
import type { Endpoint } from './endpoint.ts';
import { logAccess, recordRefusals, requireKnownHost, requireOwnOrigin } from './listener-middleware.ts';
import { serveOpenApi } from './openapi.ts';
import { authenticateBearer, requireAccess } from './operator-auth.ts';
import { servePublicOpenApi } from './public-openapi.ts';
import { renderProblem, respondWithError } from './respond-with-error.ts';

/**
 * Creates the admin listener, which serves the admin API, the console and metrics.
 * @param endpoints the same instances that the portal uses, so that rate limits count calls of both together.
 */
export function createAdminApp(core: Core, endpoints: readonly Endpoint[]): Koa {
  const addressOf = createAddressReader(core.config.trustProxy, createProxyAlarm(core));
  const router = new Router({ prefix: '/admin/v1', sensitive: true, strict: true });
  router.get('/openapi.json', serveOpenApi(endpoints));
  router.get('/public-openapi.json', servePublicOpenApi(core.config));
  const authenticate = authenticateBearer(core, addressOf);
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/\{(\w+)\}/g, ':$1');
    router[endpoint.method](path, authenticate, requireAccess(endpoint), serveEndpoint(endpoint));
  }

  const app = new Koa();
  app.use(logAccess(core, addressOf, { name: 'admin', url: core.config.issuer }));
  app.use(recordRefusals(core, addressOf));
  app.use(respondWithError(core.log, 'resource', renderProblem));
  app.use(normalize);
  app.use(serveMetrics(core));
  app.use(requireKnownHost(core, { host: core.config.adminHost, url: core.config.issuer }));
  app.use(serveBackChannelLogout(core));
  app.use(serveCommandLineToken(core, addressOf));
  app.use(requireOwnOrigin);
  app.use(createConsole(core, endpoints, addressOf));
  app.use(requireOwnMethod(endpoints));
  app.use(router.routes());
  app.use(router.allowedMethods());
  return app;
}

/**
 * Rejects other methods than those of a fixed path, such as `/trusts/test`. The router would take its last part for the
 * ID of `/trusts/{id}`.
 */
function requireOwnMethod(endpoints: readonly Endpoint[]) {
  const methods = new Map<string, string[]>();
  for (const { method, path } of endpoints.filter(({ path: each }) => !each.includes('{'))) {
    const own = method === 'get' ? ['HEAD', 'GET'] : [method.toUpperCase()];
    methods.set(`/admin/v1${path}`, [...(methods.get(`/admin/v1${path}`) ?? []), ...own]);
  }
  return async (ctx: Context, next: Next): Promise<void> => {
    const own = methods.get(ctx.path);
    if (!own || own.includes(ctx.method)) return await next();
    ctx.set('Allow', own.join(', '));
    ctx.status = ctx.method === 'OPTIONS' ? 200 : 405;
    if (ctx.method === 'OPTIONS') ctx.body = '';
  };
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
