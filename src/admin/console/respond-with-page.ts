import { html } from 'htm/preact';
import type { Context, Next } from 'koa';
import { KeyturnError, NotFound } from '../../errors.ts';
import { beginErrorAnswer } from '../../http/error-answer.ts';
import type { Log } from '../../observability/log.ts';
import { renderDocument } from './render-document.ts';
import type { Session } from './sign-in/session.ts';

/** Renders errors as pages that tell what happened, whether anything was changed, and what to do next. */
export function respondWithPage(log: Log) {
  return async (ctx: Context, next: Next): Promise<void> => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined) throw new NotFound('page');
      if (ctx.status === 405)
        throw new KeyturnError('method_not_allowed', 405, 'This page does not accept this request method.');
    } catch (error) {
      present(ctx, error, log);
    }
  };
}

function present(ctx: Context, error: unknown, log: Log): void {
  const known = error instanceof KeyturnError ? error : undefined;
  const status = known?.status ?? (error as { status?: number }).status ?? 500;
  beginErrorAnswer(ctx, error, { status, code: known?.code ?? 'server_error' }, log);
  const operator = (ctx.state['session'] as Session | undefined)?.operator;
  const title = titles[status] ?? (status >= 500 ? 'Internal error' : 'Request rejected');
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({
    title,
    operator,
    body: html`<div class="narrow">
      <h1>${title}</h1>
      <p class="lead">${known?.message ?? (status < 500 ? 'Page not found.' : 'An internal error occurred. The log of the server has the details.')}</p>
      <p>${outcome(ctx.method, status)}</p>
      <p>${operator ? html`<a href="/console/">Back to the start page</a>` : html`<a href="/console/sign-in">Sign in</a>`}</p>
    </div>`,
  });
}

const titles: Readonly<Record<number, string>> = {
  400: 'Invalid request',
  401: 'You are not signed in',
  403: 'Permission denied',
  404: 'Not found',
  409: 'Not possible now',
  412: 'Changed by someone else',
  429: 'Too many attempts',
  503: 'Service unavailable',
};

function outcome(method: string, status: number): string {
  if (method === 'GET' || method === 'HEAD') return 'Nothing was changed.';
  if (status < 500) return 'Nothing was changed. Go back: your input is still there.';
  return 'The change may or may not have been made. Check before you try again. Sending the same form again makes the change only once.';
}
