import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { DescribedError } from '../respond-with-error.ts';
import { renderDocument, sectionOfPath } from './render-document.ts';
import type { Session } from './sign-in/session.ts';
import { lookOf, siteOf } from './site.ts';

/** Renders an error as a page that tells what happened, whether anything was changed, and what to do next. */
export function renderErrorPage(ctx: Context, { status, text }: DescribedError): void {
  const operator = (ctx.state['session'] as Session | undefined)?.operator;
  const title = titles[status] ?? (status >= 500 ? 'Internal error' : 'Request rejected');
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({
    site: siteOf(ctx),
    look: lookOf(ctx),
    title,
    section: sectionOfPath(ctx.path),
    operator,
    body: html`<div class="narrow">
      <h1>${title}</h1>
      <p class="lead">${text}</p>
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
