import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import { KeyturnError } from '../../../errors.ts';
import { setRetryAfter } from '../../../http/error-answer.ts';
import type { IdentityProvider } from '../../../identity-providers/identity-provider.ts';
import { rich, t, translate } from '../languages/translate.ts';
import { hiddenFields, textField } from '../parts/forms.ts';
import { notice } from '../parts/notices.ts';
import { renderDocument, returnPathOf } from '../render-document.ts';
import { siteOf } from '../site.ts';
import { passkeyButton } from './passkey-forms.ts';
import type { Session } from './session.ts';

/** A rejection that is shown with the form. */
export type Refusal = { status: number; problem: string };

/** Shows a page of the sign-in. */
export function show(
  ctx: Context,
  page: {
    title: string;
    operator?: Session['operator'] | undefined;
    body: VNode;
    status?: number | undefined;
    refresh?: string | undefined;
  },
): void {
  const { status = 200, ...document } = page;
  ctx.status = status;
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({ ...document, site: siteOf(ctx), returnPath: returnPathOf(ctx) });
}

/**
 * Returns the path to redirect to after signing in. Accepts only console paths, because the `next` parameter may come
 * from an untrusted link.
 * @param mayBeSignIn whether the path may be that of the sign-in page.
 */
export function ownPath(path: string | null | undefined, mayBeSignIn = false): `/console/${string}` {
  const base = 'http://console.invalid';
  if (!path || !URL.canParse(path, base)) return '/console/';
  const { origin, pathname, search } = new URL(path, base);
  const isSignIn = pathname.startsWith('/console/sign-') && !mayBeSignIn;
  const isOwn = origin === base && pathname.startsWith('/console/') && !isSignIn;
  return isOwn ? (`${pathname}${search}` as `/console/${string}`) : '/console/';
}

/** Renders the sign-in form, for an operator token, the code of a link, or identity providers. */
export function signInForm({
  next,
  kept = null,
  code,
  problem,
  providers = [],
  isOfOrganization = false,
}: {
  next: string | null;
  providers?: readonly Pick<IdentityProvider, 'id' | 'name'>[];
  /** Whether these are the providers of one organization. */
  isOfOrganization?: boolean;
  /** The fields of a form that arrived after its session had ended. */
  kept?: string | null;
  /** The code of a link. If set, the form has no field for a token. */
  code?: string | undefined;
  problem?: string | undefined;
}): VNode {
  return html`<div class="narrow sign-in">
    <h1>${t('Sign in')}</h1>
    ${problem && notice('bad', problem)}
    ${!code && providers.length > 0 && providerForm({ next, kept, providers })}
    <form class="card stack" method="post" action="/console/sign-in">
      ${next && html`<input type="hidden" name="next" value=${next} />`}
      ${kept !== null && html`<input type="hidden" name="kept" value=${kept} />`}
      ${
        code
          ? html`<p>${t('This link works once. Continue to sign in.')}</p>
              <input type="hidden" name="code" value=${code} />`
          : tokenField('token')
      }
      <button class=${providers.length > 0 ? undefined : 'primary'}>${t('Sign in')}</button>
      ${!code && passkeyButton('/console/sign-in/passkey')}
    </form>
    ${!code && !isOfOrganization && organizationForm(next)}
    ${
      !code &&
      html`<p class="hint">
        ${rich('No token? An administrator of the server can create a link that signs you in once: <code>keyturn console link</code>')}
      </p>`
    }
  </div>`;
}

/** Renders a button for each identity provider. */
export function providerForm({
  next,
  kept,
  providers,
}: {
  next: string | null;
  kept: string | null;
  providers: readonly Pick<IdentityProvider, 'id' | 'name'>[];
}): VNode {
  return html`<div class="card stack">
    ${providers.map(
      ({ id, name }) =>
        html`<form method="post" action=${`/console/sign-in/with/${id}`}>
          ${next && html`<input type="hidden" name="next" value=${next} />`}
          ${kept !== null && html`<input type="hidden" name="kept" value=${kept} />`}
          <button class="primary wide">${t('Sign in with {name}', { name })}</button>
        </form>`,
    )}
  </div>`;
}

/** Renders the form that finds the identity provider of an organization. */
export function organizationForm(next: string | null): VNode {
  const label = t('E-mail address, or the name that your organization was given here');
  return html`<details class="card">
    <summary>${t('Sign in with your organization')}</summary>
    <form class="stack" method="get" action="/console/sign-in/find">
      ${next && html`<input type="hidden" name="next" value=${next} />`}
      ${textField({ name: 'q', label, required: true, maxlength: 254 })}
      <button>${t('Continue')}</button>
    </form>
  </details>`;
}

/** Renders the page that leads the browser to another address. Without the refresh, its link does. */
export function leadOn(title: string, to: string): { title: string; body: VNode; refresh: string } {
  return {
    title,
    refresh: to,
    body: html`<div class="narrow sign-in">
      <h1>${title}</h1>
      <p><a class="button primary" href=${to}>${t('Continue')}</a></p>
    </div>`,
  };
}

/** Renders the form that sends the kept entries again after a new sign-in. */
export function continueForm({ action, fields }: { action: string; fields: URLSearchParams }): VNode {
  return html`<div class="narrow sign-in">
    <h1>${t('You are signed in again')}</h1>
    <p>${t('What you entered is kept. Nothing has been changed yet.')}</p>
    <form class="card stack" method="post" action=${action}>
      ${hiddenFields(fields)}
      <div class="actions"><button class="primary">${t('Continue')}</button><a class="button" href="/console/">${t('Discard')}</a></div>
    </form>
  </div>`;
}

/**
 * Renders the form in which a signed-in operator enters the operator token again. It keeps the fields of the form that
 * was sent before.
 */
export function proofForm({
  action,
  fields,
  problem,
  provider,
  next,
}: {
  /** The identity provider of the session, which can renew the proof too. */
  provider: Pick<IdentityProvider, 'name'> | undefined;
  /** Path to continue at after the proof. */
  next: string;
  /** Path that the form is sent to: the page that required the proof, or `/console/prove`. */
  action: string;
  /** Fields of the original form, which are sent again together with the proof. */
  fields: URLSearchParams;
  problem?: string | undefined;
}): VNode {
  return html`<div class="narrow sign-in">
    <h1>${t('Confirm it’s you')}</h1>
    ${problem && notice('bad', problem)}
    <p>
      ${
        provider
          ? t(
              'You signed in more than 15 minutes ago. To see a secret or to grant access, sign in again. Nothing has been changed yet.',
            )
          : t(
              'You signed in more than 15 minutes ago. To see a secret or to grant access, enter your operator token again. Nothing has been changed yet.',
            )
      }
    </p>
    ${provider && confirmForm({ provider, next, kept: action === '/console/prove' ? null : fields.toString() })}
    <form class="card stack" method="post" action=${action}>
      ${hiddenFields(fields)} ${tokenField('operator_token')}
      <button class=${provider ? undefined : 'primary'}>${t('Continue')}</button>
      ${passkeyButton('/console/prove/passkey')}
    </form>
    <p class="hint">
      ${rich('If you signed in with a link and have no token, sign out and ask an administrator of the server for a new link: <code>keyturn console link</code>')}
    </p>
  </div>`;
}

/** Renders the button that renews the proof at the identity provider of the session. */
export function confirmForm({
  provider,
  next,
  kept,
}: {
  provider: Pick<IdentityProvider, 'name'>;
  next: string;
  kept: string | null;
}): VNode {
  return html`<form class="card stack" method="post" action="/console/prove/with">
    <input type="hidden" name="next" value=${next} />
    ${kept !== null && html`<input type="hidden" name="kept" value=${kept} />`}
    <button class="primary wide">${t('Confirm with {name}', { name: provider.name })}</button>
  </form>`;
}

function tokenField(name: 'token' | 'operator_token'): VNode {
  return html`<div class="field">
    <label for="token">${t('Operator token')}</label>
    <input
      id="token"
      name=${name}
      type="password"
      autocomplete="current-password"
      autocapitalize="none"
      spellcheck="false"
      required
      autofocus
      placeholder="kto_…"
      aria-describedby="token-hint"
    />
    <p class="hint" id="token-hint">${t('It starts with kto_ and was shown once, when it was issued.')}</p>
  </div>`;
}

/** Statuses of rejections of a sign-in. */
const shown = [401, 403, 429];

/**
 * Returns the rejection to show with the form. Other errors are thrown and become an error
 * page.
 */
export function refused(ctx: Context, error: unknown): Refusal {
  ctx.state['presented'] = true;
  setRetryAfter(ctx, error);
  const isAway = error instanceof KeyturnError && error.code === 'identity_provider_unavailable';
  if (error instanceof KeyturnError && (shown.includes(error.status) || isAway)) {
    return { status: error.status, problem: translate(error.message) };
  }
  throw error;
}
