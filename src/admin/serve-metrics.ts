import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { metricsContentType, presentMetrics } from '../observability/metrics.ts';
import { collectFromWorkers } from '../observability/worker-metrics.ts';

/**
 * `GET /metrics` for Prometheus, which asks by whatever address it has found: so before Host is looked at, and without a token. It
 * tells numbers alone, nobody's name or address.
 */
export function serveMetrics({ metrics }: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== '/metrics' || ctx.method !== 'GET') return await next();
    ctx.body = await presentMetrics(await collectFromWorkers(metrics.collect));
    ctx.set('Content-Type', metricsContentType);
  };
}
