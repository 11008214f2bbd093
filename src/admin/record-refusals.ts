import type { Context, Next } from 'koa';
import type { Refusal } from '../audit/refusals.ts';
import type { Core } from '../core.ts';
import { isWellFormedClientId } from '../credentials/credential-format.ts';
import { networkOf } from '../http/client-network.ts';
import type { Operator } from './operator-auth.ts';

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
  const route = (ctx['_matchedRoute'] as string | undefined) ?? 'other';
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
