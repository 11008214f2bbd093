import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { DescribedError } from '../respond-with-error.ts';
import { type Message, msg, t, translate } from './languages/translate.ts';
import { renderDocument, returnPathOf, sectionOfPath } from './render-document.ts';
import type { Session } from './sign-in/session.ts';
import { lookOf, siteOf } from './site.ts';

/** Renders an error as a page that tells what happened, whether anything was changed, and what to do next. */
export function renderErrorPage(ctx: Context, { status, text }: DescribedError): void {
  const operator = (ctx.state['session'] as Session | undefined)?.operator;
  const title = t(titles[status] ?? (status >= 500 ? msg('Internal error') : msg('Request rejected')));
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({
    site: siteOf(ctx),
    look: lookOf(ctx),
    title,
    section: sectionOfPath(ctx.path),
    operator,
    returnPath: returnPathOf(ctx),
    body: html`<div class="narrow">
      <h1>${title}</h1>
      <p class="lead">${translate(text)}</p>
      <p>${outcome(ctx.method, status)}</p>
      <p>${operator ? html`<a href="/console/">${t('Back to the start page')}</a>` : html`<a href="/console/sign-in">${t('Sign in')}</a>`}</p>
    </div>`,
  });
}

const titles: Readonly<Record<number, Message>> = {
  400: msg('Invalid request'),
  401: msg('You are not signed in'),
  403: msg('Permission denied'),
  404: msg('Not found'),
  409: msg('Not possible now'),
  412: msg('Changed by someone else'),
  429: msg('Too many attempts'),
  503: msg('Service unavailable'),
};

function outcome(method: string, status: number): string {
  if (method === 'GET' || method === 'HEAD') return t('Nothing was changed.');
  if (status < 500) return t('Nothing was changed. Go back: your input is still there.');
  return t(
    'The change may or may not have been made. Check before you try again. Sending the same form again makes the change only once.',
  );
}
