import type { RequestListener } from 'node:http';
import type { Readiness } from '../observability/readiness.ts';

/** The used members of Koa's context. */
type KoaContext = {
  readonly method: string;
  readonly path: string;
  status: number;
  body?: unknown;
  set(name: string, value: string): void;
};

/** Serves `/healthz` and `/readyz`. Neither queries a store, so frequent calls are harmless. */
export function serveHealth(
  readiness: Readiness,
  { isDraining, isOverloaded }: { isDraining: () => boolean; isOverloaded: () => boolean },
) {
  function answerReady(ctx: KoaContext): void {
    const { isReady, stores, checks } = readiness.report();
    const status = isDraining() ? 'draining' : isOverloaded() ? 'overloaded' : isReady ? 'ready' : 'not_ready';
    ctx.set('Cache-Control', 'no-store');
    ctx.status = status === 'ready' ? 200 : 503;
    ctx.body = { status, stores, ...(Object.keys(checks).length > 0 ? { checks } : {}) };
    if (status !== 'ready') ctx.set('Retry-After', '1');
  }

  return (ctx: KoaContext, next: () => Promise<void>): Promise<void> => {
    if (ctx.method !== 'GET' && ctx.method !== 'HEAD') return next();
    if (ctx.path === '/readyz') {
      answerReady(ctx);
    } else if (ctx.path === '/healthz') {
      ctx.set('Cache-Control', 'no-store');
      ctx.body = { status: 'ok' };
    } else {
      return next();
    }
    return Promise.resolve();
  };
}

/**
 * Returns a listener for the time before the stores are open. `/healthz` is 200 and `/readyz` 503. The connection of any
 * other request is closed, as if the port were not open yet: proxies send such a request to another process, and would
 * pass on a 503.
 * @param waitsFor returns what the start waits for.
 */
export function answerWhileStarting(waitsFor: () => string[]): RequestListener {
  return ({ url = '', socket }, response) => {
    const [path] = url.split('?', 1);
    const isAlive = path === '/healthz';
    if (!isAlive && path !== '/readyz') {
      socket.destroy();
      return;
    }
    response.writeHead(isAlive ? 200 : 503, {
      'Content-Type': 'application/json; charset=utf-8',
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      ...(isAlive ? {} : { 'Retry-After': '1' }),
    });
    response.end(JSON.stringify(isAlive ? { status: 'ok' } : { status: 'starting', starting: waitsFor() }));
  };
}
