import type { Context, Next } from 'koa';
import { readForm, seeOther } from '../post-redirect-get.ts';
import { cookieNames, setCookie } from '../sign-in/session.ts';
import { ownPath } from '../sign-in/sign-in-forms.ts';
import { currentLanguage, inLanguage, type Language, languages } from './language.ts';

const names = cookieNames('keyturn-language');

/** Answers a request in the language that its browser has chosen: with the form below the page, or in its settings. */
export async function speakLanguage(ctx: Context, next: Next): Promise<void> {
  const language = languageOf(ctx);
  ctx.set('Content-Language', language.tag);
  ctx.vary('Accept-Language');
  ctx.vary('Cookie');
  await inLanguage(language, next);
}

function languageOf(ctx: Context): Language {
  const tags = [names.secure, names.plain].map((name) => ctx.cookies.get(name) ?? '');
  const chosen = tags.find((tag) => languages.has(tag)) ?? ctx.acceptsLanguages([...languages.keys()]);
  return (chosen && languages.get(chosen)) || currentLanguage();
}

/** Stores the language that was chosen below a page, for a year, and returns to the page. */
export async function chooseLanguage(ctx: Context): Promise<void> {
  const form = await readForm(ctx.req);
  const tag = form.get('language') ?? '';
  if (languages.has(tag)) setCookie(ctx, names, tag, '; Max-Age=31536000');
  seeOther(ctx, ownPath(form.get('next'), true));
}
