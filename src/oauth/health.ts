import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { withDeadline } from '../storage/with-deadline.ts';

/** Liveness, which asks no store, and readiness, which asks both. */
export function serveHealth(core: Core, isDraining: () => boolean) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return await next();
    if (ctx.path === '/healthz') {
      ctx.set('Cache-Control', 'no-store');
      ctx.body = { status: 'ok' };
    } else if (ctx.path === '/readyz') {
      const [database, tokens] = await Promise.all([
        stateOf(withDeadline(core.database.query('SELECT 1'))),
        stateOf(core.tokenStore.ping()),
      ]);
      const ready = database === 'ok' && tokens === 'ok' && !isDraining();
      ctx.set('Cache-Control', 'no-store');
      ctx.status = ready ? 200 : 503;
      ctx.body = {
        status: ready ? 'ready' : isDraining() ? 'draining' : 'not_ready',
        stores: { database, [core.tokenStore.name === 'redis' ? 'redis' : 'tokens']: tokens },
      };
      if (!ready) ctx.set('Retry-After', '1');
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
