import type { Context, Next } from 'koa';
import type { Refusal } from '../audit/refusals.ts';
import type { Core } from '../core.ts';
import { isWellFormedClientId } from '../credentials/credential-format.ts';
import { networkOf } from '../http/client-address.ts';
import { createRequestIds, strictTransport } from '../http/response-headers.ts';
import { matchedRouteOf } from '../internals/koa-router.ts';
import type { Operator } from './operator-auth.ts';

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
    const route = matchedRouteOf(ctx);
    tracing?.nameRoute(ctx.method, route);
    if (!config.accessLog) return;
    const operator = (ctx.state['operator'] as { id: string } | undefined)?.id;
    const ms = Math.round((performance.now() - startedAt) * 1_000) / 1_000;
    const trace_id = tracing?.traceId();
    log.info({ id, method: ctx.method, route, status: ctx.status, ms, address, operator, trace_id }, 'admin request');
  };
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
  const route = matchedRouteOf(ctx);
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
