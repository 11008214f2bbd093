import type Router from '@koa/router';
import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import { isMailAddress } from '../../configuration/mail-settings.ts';
import type { Core } from '../../core.ts';
import { networkOf } from '../../http/client-address.ts';
import { randomCode } from '../../sessions/link-store.ts';
import { findNextPath, insertMailLinkRequest, mailLinkMs } from '../../sessions/mail-link-requests.ts';
import { createRateLimit } from '../../storage/rate-limit.ts';
import { currentLanguage } from '../console/languages/language.ts';
import { t } from '../console/languages/translate.ts';
import { textField } from '../console/parts/forms.ts';
import { readForm, seeOther } from '../console/post-redirect-get.ts';
import { cookieNames, isSecure, setCookie } from '../console/sign-in/session.ts';
import { ownPath, type Refusal } from '../console/sign-in/sign-in-forms.ts';
import { siteOf } from '../console/site.ts';

/** Maximum number of requests for a link per minute from one network, whether or not a contact has the address. */
const perMinute = 10;

const sentPath = '/console/sign-in/mail';

/** Signs people in with a link that is sent by e-mail. */
export type MailSignIn = {
  /** Returns the form that asks for the address; undefined if no mails are sent, or the page is in a frame. */
  form(ctx: Context, next: string | null): VNode | undefined;
  /** Returns the cookie of a browser that has asked for a link; undefined if it has none. */
  browserOf(ctx: Context): string | undefined;
  /** Returns where the browser continues after it has used a link. */
  nextOf(browser: string): Promise<`/console/${string}`>;
  addRoutes(router: Router): void;
};

type Parts = {
  addressOf(request: Context['req']): string;
  show(ctx: Context, title: string, body: VNode): void;
  showRefusal(ctx: Context, refusal: Refusal, next: string | null): void;
};

/**
 * Creates the sign-in by e-mail. A request is stored, and answered in the same way for every address; contacts are looked
 * up afterwards, by the process that delivers notices. The cookie binds the link to this browser.
 */
export function mailSignIn(core: Core, { addressOf, show, showRefusal }: Parts): MailSignIn {
  const isOn = core.config.mail !== undefined;
  const limit = createRateLimit('portal mails', perMinute, { redis: undefined, prefix: '' });
  const namesOf = (ctx: Context) => cookieNames(`${siteOf(ctx).cookie}-mail`);

  function browserOf(ctx: Context): string | undefined {
    const { secure, plain } = namesOf(ctx);
    const value = ctx.cookies.get(secure) ?? (isSecure(ctx) ? undefined : ctx.cookies.get(plain));
    return value && /^[\w-]{43}$/.test(value) ? value : undefined;
  }

  /** Counts a request. Returns the seconds to wait if there were too many. */
  function countRequest(address: string): number | undefined {
    const network = networkOf(address);
    if (network === undefined) return undefined;
    const seconds = limit.secondsToWait(network);
    if (seconds === undefined) limit.count(network);
    return seconds;
  }

  async function request(ctx: Context): Promise<void> {
    const form = await readForm(ctx.req);
    const next = ownPath(form.get('next'));
    const email = (form.get('email') ?? '').trim();
    if (!isMailAddress(email)) {
      return showRefusal(ctx, { status: 400, problem: t('Enter an e-mail address, such as ann@example.com.') }, next);
    }
    const address = addressOf(ctx.req);
    const seconds = countRequest(address);
    if (seconds !== undefined) {
      ctx.set('Retry-After', String(seconds));
      const problem = t('Too many links were requested from your address. Try again in {seconds} seconds.', {
        seconds,
      });
      return showRefusal(ctx, { status: 429, problem }, next);
    }
    // A browser that asks again can also use the mail of its earlier request.
    const browser = browserOf(ctx) ?? randomCode();
    const language = currentLanguage().tag;
    const asked = { email, browser, address, language, next };
    await insertMailLinkRequest(core.unlimitedDatabase, asked, core.clock());
    // The link is opened from a mail program, which may be a web page.
    setCookie(ctx, namesOf(ctx), browser, `; Max-Age=${mailLinkMs / 1_000}`, true);
    seeOther(ctx, sentPath);
  }

  return {
    form(ctx, next) {
      // A link is opened in a tab of its own, whose cookies a frame does not share.
      if (!isOn || ctx.get('Sec-Fetch-Dest') === 'iframe') return undefined;
      return html`<form class="card stack" method="post" action=${sentPath}>
        ${next && html`<input type="hidden" name="next" value=${next} />`}
        ${textField({
          name: 'email',
          type: 'email',
          label: t('E-mail address'),
          hint: t('A link is sent to it. The link works once, within 15 minutes, in this browser.'),
          required: true,
          maxlength: 254,
          autocomplete: 'email',
        })}
        <button class="primary">${t('Send a sign-in link')}</button>
      </form>`;
    },
    browserOf,
    nextOf: async (browser) => ownPath(await findNextPath(core.unlimitedDatabase, browser, core.clock())),
    addRoutes(router) {
      if (!isOn) return;
      router.post('/sign-in/mail', request);
      router.get('/sign-in/mail', (ctx) => show(ctx, t('Look into your mailbox'), sentPage()));
    },
  };
}

function sentPage(): VNode {
  return html`<div class="narrow sign-in">
    <h1>${t('Look into your mailbox')}</h1>
    <p>${t('If this address belongs to a person with access, a mail with a link is sent to it now. The link works once, within 15 minutes, and only in this browser.')}</p>
    <p class="hint">${t('No mail? Look into the folder for spam. You can request another one after a minute.')}</p>
    <p><a class="button" href="/console/sign-in">${t('Back to the sign-in')}</a></p>
  </div>`;
}
