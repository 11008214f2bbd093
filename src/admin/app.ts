import Router from '@koa/router';
import Koa, { type Context, type Next } from 'koa';
import type { Core } from '../core.ts';
import { createAddressReader } from '../http/client-address.ts';
import { normalizeRequest } from '../http/normalize-request.ts';
import { createProxyAlarm } from '../http/proxy-alarm.ts';
import { createConsole } from './console/console.ts';
import { adminEndpoints } from './endpoints.ts';
import { requireKnownHost, requireOwnOrigin } from './known-host.ts';
import { serveOpenApi } from './openapi.ts';
import { authenticateBearer, requirePermission } from './operator-auth.ts';
import { respondWithProblem } from './problem.ts';
import { recordRefusals } from './record-refusals.ts';
import { logAccess } from './request-log.ts';
import { serveEndpoint } from './serve-endpoint.ts';
import { serveMetrics } from './serve-metrics.ts';

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

/**
 * Applies the request rules of all listeners. Closes the connection of a rejected request, because the bytes after it
 * may not start a new request.
 */
async function normalize(ctx: Context, next: Next): Promise<void> {
  try {
    normalizeRequest(ctx.req);
  } catch (error) {
    ctx.set('Connection', 'close');
    throw error;
  }
  ctx.originalUrl = ctx.url;
  await next();
}
