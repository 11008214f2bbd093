import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { withDeadline } from '../storage/with-deadline.ts';

/** Liveness, which asks no store, and readiness, which asks both. */
export function serveHealth(
  core: Core,
  { isDraining, isOverloaded }: { isDraining: () => boolean; isOverloaded: () => boolean },
) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return await next();
    if (ctx.path === '/healthz') {
      ctx.set('Cache-Control', 'no-store');
      ctx.body = { status: 'ok' };
    } else if (ctx.path === '/readyz') {
      const overloaded = isOverloaded();
      const [database, tokens] = await Promise.all([
        stateOf(withDeadline(core.database.query('SELECT 1'))),
        stateOf(core.tokenStore.ping()),
      ]);
      const status = isDraining()
        ? 'draining'
        : overloaded
          ? 'overloaded'
          : database === 'ok' && tokens === 'ok'
            ? 'ready'
            : 'not_ready';
      ctx.set('Cache-Control', 'no-store');
      ctx.status = status === 'ready' ? 200 : 503;
      ctx.body = {
        status,
        stores: { database, [core.tokenStore.name === 'redis' ? 'redis' : 'tokens']: tokens },
      };
      if (status !== 'ready') ctx.set('Retry-After', '1');
    } else {
      await next();
    }
  };
}

async function stateOf(answer: Promise<unknown>): Promise<'ok' | 'unavailable'> {
  return await answer.then(
    () => 'ok' as const,
    () => 'unavailable' as const,
  );
}
