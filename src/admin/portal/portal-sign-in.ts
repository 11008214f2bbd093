import type Router from '@koa/router';
import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import type { Core } from '../../core.ts';
import { unnamedDeployment } from '../../organizations/organization.ts';
import { findPortalSettings } from '../../organizations/organization-store.ts';
import type { PortalSettings } from '../../organizations/portal-settings.ts';
import { passkeySite } from '../../passkeys/verify-passkey.ts';
import { msg, t } from '../console/languages/translate.ts';
import { allowFrames } from '../console/page-headers.ts';
import { hiddenFields } from '../console/parts/forms.ts';
import { notice } from '../console/parts/notices.ts';
import { readForm, seeOther } from '../console/post-redirect-get.ts';
import { renderDocument, returnPathOf } from '../console/render-document.ts';
import type { SiteParts } from '../console/serve-site.ts';
import { passkeyButton, passkeyRoutes } from '../console/sign-in/passkey-forms.ts';
import { findSignInLink, proveAgain, signIn } from '../console/sign-in/prove.ts';
import { type Session, setSessionCookie, visitorOf } from '../console/sign-in/session.ts';
import { confirmForm, organizationForm, ownPath, providerForm, refused } from '../console/sign-in/sign-in-forms.ts';
import { singleSignOn } from '../console/sign-in/single-sign-on.ts';
import { lookOf, showLook, shownProvider, siteOf } from '../console/site.ts';
import { createAttemptLimit } from '../operator-auth.ts';
import { proofSteps } from './proof-steps.ts';
import { mailSignIn } from './sign-in-by-mail.ts';

/** Maximum number of failed attempts per minute from one network. */
const perMinute = 10;

const proofPath = '/console/prove';

/**
 * Creates the way in to the portal: a link that the host product has requested for a person. Opening it changes nothing,
 * because mail servers and chats open links too; its button, which a script presses, sends a form that consumes it.
 */
export function portalSignIn(core: Core, addressOf: (request: Context['req']) => string): SiteParts['signIn'] {
  const limited = createAttemptLimit(perMinute);
  const urlOf = (ctx: Context) => core.config.portalUrl ?? `${ctx.protocol}://${ctx.host}`;
  const passkeys = passkeyRoutes(core, urlOf);
  const sso = singleSignOn(core, {
    urlOf,
    visitorOf: (ctx) => visitorOf(ctx, addressOf),
    limited,
    showSignIn: async (ctx, { next, kept = null, providers = [] }, refusal) => {
      ctx.status = refusal?.status ?? 200;
      const buttons = providers.length > 0 ? providerForm({ next, kept, providers }) : waysIn(ctx, next);
      showRefusal(ctx, refusal?.problem, buttons);
    },
    refused,
  });
  const mail = mailSignIn(core, {
    addressOf,
    show: (ctx, title, body) => show(ctx, title, body),
    showRefusal: (ctx, { status, problem }, next) => {
      ctx.status = status;
      showRefusal(ctx, problem, waysIn(ctx, next));
    },
  });

  /** Renders the ways in for people who have no link of the host product. */
  function waysIn(ctx: Context, next: string | null): VNode {
    // A provider leads back without the cookies of the frame, and most do not let themselves be framed.
    const isFramed = ctx.get('Sec-Fetch-Dest') === 'iframe';
    return html`${passkeyForm(next)} ${mail.form(ctx, next)} ${!isFramed && organizationForm(next)}`;
  }

  function findPresented(ctx: Context, code: string) {
    const presented = { site: 'portal' as const, code, browser: mail.browserOf(ctx) };
    return findSignInLink(core.unlimitedDatabase, presented, core.clock());
  }

  async function showLink(ctx: Context): Promise<void> {
    const code = ctx.URL.searchParams.get('code') ?? '';
    const link = code === '' ? undefined : await findPresented(ctx, code);
    if (!link?.isOfBrowser) {
      const problem = code === '' ? undefined : link ? t(otherBrowser) : t(unusable);
      return showRefusal(ctx, problem, waysIn(ctx, ctx.URL.searchParams.get('next')));
    }
    dress(ctx, await findPortalSettings(core.unlimitedDatabase, link.organizationId));
    const next = ctx.URL.searchParams.get('next');
    show(
      ctx,
      t('Continue'),
      linkForm({ code, next, name: link.name, isPressed: link.returnUrl !== null }, providerOf(ctx)),
    );
  }

  async function openLink(ctx: Context): Promise<void> {
    const form = await readForm(ctx.req);
    const passkey = form.get('passkey');
    const code = form.get('code') ?? '';
    const visitor = visitorOf(ctx, addressOf);
    const browser = mail.browserOf(ctx);
    const isByMail = browser !== undefined && !passkey && (await findPresented(ctx, code))?.isByMail === true;
    const proof = passkey ? { passkey, at: passkeySite(urlOf(ctx)) } : { code, browser };
    try {
      setSessionCookie(ctx, await limited(visitor.address, () => signIn(core, proof, visitor)));
    } catch (error) {
      const { status, problem } = refused(ctx, error);
      ctx.status = status;
      return showRefusal(ctx, problem, waysIn(ctx, null));
    }
    seeOther(ctx, isByMail ? await mail.nextOf(browser) : ownPath(form.get('next')));
  }

  /** Explains how to prove one's identity. A submitted form is kept, and sent again afterwards. */
  async function askProof(ctx: Context, form: URLSearchParams): Promise<void> {
    const { operator, returnUrl, provider } = ctx.state['session'] as Session;
    const isForm = ctx.method === 'POST' && ctx.path !== proofPath;
    const next = ctx.path === proofPath ? (form.get('next') ?? '') : ctx.url;
    const fields = isForm ? form : new URLSearchParams({ next });
    const signedInAt = provider === null ? undefined : await core.providers.find(provider);
    if (signedInAt) {
      const kept = isForm ? fields.toString() : null;
      const confirm = confirmForm({ provider: signedInAt, next: isForm ? ctx.path : next, kept });
      const title = t('Confirm it’s you');
      return show(ctx, title, html`<div class="narrow sign-in"><h1>${title}</h1>${confirm}</div>`, operator);
    }
    const withPasskey = html`<form class="stack" method="post" action=${isForm ? ctx.path : proofPath}>
      ${hiddenFields(fields)} ${passkeyButton('/console/prove/passkey')}
    </form>`;
    const body = proofSteps({
      withPasskey,
      title: t('Confirm it’s you'),
      lead: t(
        'You signed in more than 15 minutes ago. To see a secret or to grant access, sign in once more. Nothing has been changed yet.',
      ),
      provider: providerOf(ctx),
      returnUrl,
      hasMail: mail.form(ctx, null) !== undefined,
      action: isForm ? ctx.path : proofPath,
      fields,
    });
    show(ctx, t('Confirm it’s you'), body, operator);
  }

  /** Renews the proof of identity with the passkey in a form. Asks again, and returns false, if there is none. */
  async function proveWithForm(ctx: Context, form: URLSearchParams): Promise<boolean> {
    const passkey = form.get('passkey');
    form.delete('operator_token');
    form.delete('passkey');
    const { operator } = ctx.state['session'] as Session;
    const visitor = visitorOf(ctx, addressOf);
    try {
      const proof = { passkey: passkey ?? '', at: passkeySite(urlOf(ctx)) };
      if (passkey)
        setSessionCookie(ctx, await limited(visitor.address, () => proveAgain(core, operator.id, proof, visitor)));
    } catch (error) {
      ctx.status = refused(ctx, error).status;
      await askProof(ctx, form);
      return false;
    }
    if (!passkey) await askProof(ctx, form);
    return passkey !== null;
  }

  return {
    addRoutes(router: Router): void {
      router.get('/sign-in', showLink);
      router.post('/sign-in', openLink);
      // Before single sign-on, whose pages have the names of organizations.
      mail.addRoutes(router);
      sso.addRoutes(router);
      passkeys.addRoutes(router);
    },
    addClosedRoutes(router: Router): void {
      sso.addClosedRoutes(router);
      passkeys.addClosedRoutes(router);
      router.post('/prove', async (ctx) => {
        const form = await readForm(ctx.req);
        if (form.has('passkey') && !(await proveWithForm(ctx, form))) return;
        seeOther(ctx, ownPath(form.get('next')));
      });
    },
    async keepForm(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      const isProof = ctx.path === proofPath;
      ctx.status = 401;
      const body = proofSteps({
        title: t('Your session has ended'),
        lead: t('Nothing was changed. What you entered is kept on this page.'),
        provider: providerOf(ctx),
        returnUrl: lookOf(ctx)?.returnUrl ?? null,
        hasMail: mail.form(ctx, null) !== undefined,
        action: isProof ? '/console/prove' : ctx.path,
        fields: form,
      });
      show(ctx, t('Your session has ended'), body);
    },
    askProof,
    proveWithForm,
    async continueWith(): Promise<void> {
      throw new Error('the portal issues no operator tokens');
    },
    async prepare(ctx: Context): Promise<void> {
      const session = ctx.state['session'] as Session | undefined;
      const organizationId = session?.operator.organizationId ?? undefined;
      const settings = await findPortalSettings(core.unlimitedDatabase, organizationId);
      dress(ctx, session?.returnUrl ? { ...settings, returnUrl: session.returnUrl } : settings);
    },
  };
}

const unusable = msg('This link was already used, or it has expired. Open the page again where you found the link.');
const otherBrowser = msg(
  'This link works only in the browser in which it was requested. Open it there, or request another one here.',
);

/** Makes the page look like the host product, which may show it in a frame. */
function dress(ctx: Context, settings: PortalSettings): void {
  showLook(ctx, settings);
  allowFrames(ctx, settings.frameOrigins);
}

/** Returns the name of the host product. */
function providerOf(ctx: Context): string {
  const name = lookOf(ctx)?.name;
  return !name || name === shownProvider(unnamedDeployment) ? t('your provider') : name;
}

function show(ctx: Context, title: string, body: VNode, operator?: Session['operator']): void {
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({
    site: siteOf(ctx),
    look: lookOf(ctx),
    title,
    operator,
    returnPath: returnPathOf(ctx),
    body,
  });
}

/** Shows that the browser is not signed in, and the way back to the host product. */
function showRefusal(ctx: Context, problem: string | undefined, waysIn?: VNode): void {
  const provider = providerOf(ctx);
  const returnUrl = lookOf(ctx)?.returnUrl ?? null;
  const body = html`<div class="narrow sign-in">
    <h1>${t('You are not signed in')}</h1>
    ${problem && notice('bad', problem)}
    <p>${t('Open this page from {provider}. There you are signed in already.', { provider })}</p>
    ${returnUrl && html`<p><a class="button primary" href=${returnUrl} target="_top">${t('Go to {provider}', { provider })}</a></p>`}
    ${waysIn} ${problem && html`<p><a href="/console/">${t('Continue, if you are signed in here already')}</a></p>`}
  </div>`;
  if (problem && ctx.status === 404) ctx.status = 401;
  show(ctx, t('You are not signed in'), body);
}

/** Renders the way in with a passkey. */
function passkeyForm(next: string | null): VNode {
  return html`<form class="stack" method="post" action="/console/sign-in">
    ${next && html`<input type="hidden" name="next" value=${next} />`} ${passkeyButton('/console/sign-in/passkey')}
  </form>`;
}

/** Renders the button that opens a link. @param link.isPressed whether the script presses it. */
function linkForm(
  { code, next, name, isPressed }: { code: string; next: string | null; name: string; isPressed: boolean },
  provider: string,
): VNode {
  return html`<div class="narrow sign-in">
    <h1>${t('Continue as {name}', { name })}</h1>
    <p>${t('You are signed in to the integrations of {provider}. This link works once.', { provider })}</p>
    <form class="card stack" method="post" action="/console/sign-in" data-press=${isPressed ? 'yes' : undefined}>
      <input type="hidden" name="code" value=${code} />
      ${next && html`<input type="hidden" name="next" value=${next} />`}
      <button class="primary" autofocus>${t('Continue')}</button>
    </form>
  </div>`;
}
