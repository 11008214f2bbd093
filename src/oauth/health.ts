import type { Context, Next } from 'koa';
import type { Core } from '../core.ts';
import { withDeadline } from '../storage/with-deadline.ts';

/** Liveness, which asks no store, and readiness, which asks both. */
export function serveHealth(
  core: Core,
  { isDraining, isOverloaded }: { isDraining: () => boolean; isOverloaded: () => boolean },
) {
  async function answerReady(ctx: Context): Promise<void> {
    const overloaded = isOverloaded();
    const [database, tokens] = await Promise.all([
      stateOf(withDeadline(core.database.query('SELECT 1'))),
      stateOf(core.tokenStore.ping()),
    ]);
    const status = statusOf([
      [isDraining(), 'draining'],
      [overloaded, 'overloaded'],
      [database !== 'ok' || tokens !== 'ok', 'not_ready'],
    ]);
    ctx.set('Cache-Control', 'no-store');
    ctx.status = status === 'ready' ? 200 : 503;
    ctx.body = {
      status,
      stores: { database, [core.tokenStore.name === 'redis' ? 'redis' : 'tokens']: tokens },
    };
    if (status !== 'ready') ctx.set('Retry-After', '1');
  }

  return (ctx: Context, next: Next): Promise<void> => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return next();
    if (ctx.path === '/readyz') return answerReady(ctx);
    if (ctx.path !== '/healthz') return next();
    ctx.set('Cache-Control', 'no-store');
    ctx.body = { status: 'ok' };
    return Promise.resolve();
  };
}

/** The first of what stands in the way. */
function statusOf(obstacles: readonly [stands: boolean, status: string][]): string {
  return obstacles.find(([stands]) => stands)?.[1] ?? 'ready';
}

async function stateOf(answer: Promise<unknown>): Promise<'ok' | 'unavailable'> {
  return await answer.then(
    () => 'ok' as const,
    () => 'unavailable' as const,
  );
}
