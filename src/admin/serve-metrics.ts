import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { metricsContentType, presentMetrics } from '../observability/metrics.ts';
import { collectFromWorkers } from '../observability/worker-metrics.ts';

/**
 * Serves `GET /metrics` for Prometheus. Requires no token and runs before the Host check, because Prometheus uses
 * whatever address it discovers. The metrics contain no client IDs, names or addresses.
 */
export function serveMetrics({ metrics }: Core) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== '/metrics' || ctx.method !== 'GET') return await next();
    ctx.body = await presentMetrics(await collectFromWorkers(metrics.collect));
    ctx.set('Content-Type', metricsContentType);
  };
}
