import { html } from 'htm/preact';
import type { Context, Next } from 'koa';
import { renderToString } from 'preact-render-to-string';
import type { Core } from '../core.ts';
import { KeyturnError } from '../errors.ts';
import { findMailReceiver } from '../notices/mail-receivers.ts';
import { kindNames } from '../notices/notice-kinds-text.ts';
import { readUnsubscription, type Unsubscription, unsubscribe, unsubscribePath } from '../notices/unsubscribe.ts';

const texts = {
  en: {
    title: 'Stop mails of these kinds',
    ask: 'Keyturn will no longer send you mails of these kinds:',
    button: 'Stop these mails',
    done: 'You will no longer receive mails of these kinds. An operator can switch them on again.',
  },
  de: {
    title: 'Keine Mails dieser Arten mehr',
    ask: 'Keyturn wird Ihnen keine Mails dieser Arten mehr senden:',
    button: 'Diese Mails nicht mehr senden',
    done: 'Sie erhalten keine Mails dieser Arten mehr. Ein Operator kann sie wieder einschalten.',
  },
} as const;

const style = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem}
h1{font-size:1.4rem}button{font:inherit;padding:.6rem 1rem}`;

/**
 * Serves the links in mails that switch kinds of notices off, without sign-in (RFC 8058). A GET only asks, because mail
 * programs and filters open every link.
 */
export function serveUnsubscribe(core: Core, addressOf: (request: Context['req']) => string) {
  return async (ctx: Context, next: Next): Promise<void> => {
    if (ctx.path !== unsubscribePath) return await next();
    if (!['GET', 'HEAD', 'POST'].includes(ctx.method)) {
      ctx.set('Allow', 'GET, HEAD, POST');
      throw new KeyturnError('invalid_request', 405, 'Method not allowed. Use GET, HEAD, POST.');
    }
    const token = new URLSearchParams(ctx.querystring).get('token') ?? '';
    const found = readUnsubscription(core.keyRing, token);
    if (!found) throw new KeyturnError('not_found', 404, 'This link is not valid.');
    const isDone = ctx.method === 'POST';
    if (isDone) await unsubscribe(core, found, addressOf(ctx.req));
    ctx.set('Cache-Control', 'no-store');
    ctx.set('Referrer-Policy', 'no-referrer');
    ctx.set(
      'Content-Security-Policy',
      `default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'`,
    );
    ctx.type = 'text/html; charset=utf-8';
    ctx.body = await page(core, found, isDone);
  };
}

async function page(
  core: Core,
  { receiver: id, organizationId, kinds }: Unsubscription,
  isDone: boolean,
): Promise<string> {
  const receiver = await findMailReceiver(core.unlimitedDatabase, id, organizationId);
  const language = receiver?.language === 'de' ? 'de' : 'en';
  const say = texts[language];
  const list = html`<ul>${kinds.map((kind) => html`<li>${kindNames[language][kind]}</li>`)}</ul>`;
  const body = html`<html lang=${language}><head><meta charset="utf-8" /><meta name="viewport" content="width=device-width" />
    <meta name="robots" content="noindex" /><title>${say.title}</title><style>${style}</style></head>
    <body><main><h1>${say.title}</h1><p>${isDone ? say.done : say.ask}</p>${list}
    ${isDone ? null : html`<form method="post"><button>${say.button}</button></form>`}</main></body></html>`;
  return `<!doctype html>${renderToString(body)}`;
}
