import { html } from 'htm/preact';
import type { Context, Next } from 'koa';
import { KeyturnError, NotFound } from '../../errors.ts';
import type { Log } from '../../observability/log.ts';
import { TooManyRequests } from '../problem.ts';
import { renderDocument } from './render-document.ts';
import type { Session } from './sign-in/session.ts';

/** Renders errors as pages that tell what happened, whether anything was changed, and what to do next. */
export function respondWithPage(log: Log) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined) throw new NotFound('page');
      if (ctx.status === 405) throw new KeyturnError('method_not_allowed', 405, 'This address takes no such request.');
    } catch (error) {
      present(ctx, error, log);
    }
  };
}

function present(ctx: Context, error: unknown, log: Log): void {
  const known = error instanceof KeyturnError ? error : undefined;
  const status = known?.status ?? (error as { status?: number }).status ?? 500;
  const detail = known ? known.detail : ((error as Error).stack ?? String(error));
  if (status >= 500) log.error({ error: detail, path: ctx.path }, known?.code ?? 'server_error');
  else log.debug({ error: known?.code, detail }, 'refused');
  if (error instanceof TooManyRequests) ctx.set('Retry-After', String(error.retryAfterSeconds));
  if (status === 503) ctx.set('Retry-After', '1');
  // Close the connection: unread bytes of the body would be parsed as the next request.
  if (status === 413 || status === 415) ctx.set('Connection', 'close');
  const operator = (ctx.state['session'] as Session | undefined)?.operator;
  const title = titles[status] ?? (status >= 500 ? 'Something went wrong' : 'This was refused');
  ctx.status = status;
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({
    title,
    operator,
    body: html`<div class="narrow">
      <h1>${title}</h1>
      <p class="lead">${known?.message ?? (status < 500 ? 'There is no such page.' : 'It is not your doing; the log of the server says more.')}</p>
      <p>${outcome(ctx.method, status)}</p>
      <p>${operator ? html`<a href="/console/">Back to the start</a>` : html`<a href="/console/sign-in">Sign in</a>`}</p>
    </div>`,
  });
}

const titles: Readonly<Record<number, string>> = {
  400: 'This cannot be done like that',
  401: 'You are not signed in',
  403: 'You may not do this',
  404: 'Nothing is here',
  409: 'This cannot be done now',
  412: 'Somebody was faster',
  429: 'Too many attempts',
  503: 'A store is away',
};

function outcome(method: string, status: number): string {
  if (method === 'GET' || method === 'HEAD') return 'Nothing was changed.';
  if (status < 500) return 'Nothing was changed. Go back, and what you entered is still there.';
  return 'Whether it was done is not certain. Look before you do it again; sending the same form twice does it once.';
}
