import type { Context, Next } from 'koa';
import type { Refusal } from '../audit/refusals.ts';
import type { Core } from '../core.ts';
import { isWellFormedClientId } from '../credentials/credential-format.ts';
import { networkOf } from '../http/client-network.ts';
import type { Operator } from './operator-auth.ts';

/**
 * Records what the admin listener refuses, in the API and in the console: credentials that are not valid, by the network that sent
 * them, and what an operator may not do, or asks for too often, by that operator.
 */
export function recordRefusals({ refusals }: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    // Read the address first: a socket that was closed with the answer has none any more.
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

/** The ids in a path. Anything else that stands in their place may be a secret that was pasted there, and is left out. */
function idsOf(ctx: Context): string[] {
  const params = Object.values((ctx['params'] as Record<string, string> | undefined) ?? {});
  return params.filter(
    (value) => isWellFormedClientId(value) || /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value),
  );
}
