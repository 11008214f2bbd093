import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { createRequestIds } from '../http/request-id.ts';
import { strictTransport } from '../http/strict-transport.ts';

/** Writes one access-log line per request, and sets the headers that every response has. */
export function logAccess({ config, log, metrics, tracing }: Core, addressOf: (request: Context['req']) => string) {
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
    const route = (ctx['_matchedRoute'] as string | undefined) ?? 'other';
    tracing?.nameRoute(ctx.method, route);
    if (!config.accessLog) return;
    const operator = (ctx.state['operator'] as { id: string } | undefined)?.id;
    const ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
    const trace_id = tracing?.traceId();
    log.info({ id, method: ctx.method, route, status: ctx.status, ms, address, operator, trace_id }, 'admin request');
  };
}
