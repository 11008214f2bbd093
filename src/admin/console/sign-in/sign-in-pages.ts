import type Router from '@koa/router';
import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import type { Core } from '../../../core.ts';
import { KeyturnError } from '../../../errors.ts';
import { setRetryAfter } from '../../../http/error-answer.ts';
import { createAttemptLimit } from '../../operator-auth.ts';
import { rich, t, told } from '../languages/translate.ts';
import { hiddenFields } from '../parts/forms.ts';
import { notice } from '../parts/notices.ts';
import { readForm, seeOther } from '../post-redirect-get.ts';
import { renderDocument, returnPathOf } from '../render-document.ts';
import { siteOf } from '../site.ts';
import { proveAgain, signIn } from './prove.ts';
import {
  clearSessionCookie,
  forgetSession,
  readSessionCookie,
  type Session,
  setSessionCookie,
  visitorOf,
} from './session.ts';

/** Maximum number of failed attempts per minute from one network. */
const perMinute = 10;

/** Maximum length of a kept form, which is encoded once more when it is sent together with the sign-in. */
const maxKept = 80 * 1024;

/**
 * Creates the handlers for signing in with an operator token or a link, renewing the proof of identity, and signing
 * out.
 */
export function signInPages(core: Core, addressOf: (request: Context['req']) => string) {
  const limited = createAttemptLimit(perMinute);

  /**
   * Renews the session's proof of identity.
   * @throws {KeyturnError} 401 if the token is not valid, 429 after too many failures.
   */
  async function prove(ctx: Context, token: string): Promise<void> {
    const { operator } = ctx.state['session'] as Session;
    const visitor = visitorOf(ctx, addressOf);
    setSessionCookie(ctx, await limited(visitor.address, () => proveAgain(core, operator.id, token, visitor)));
  }

  /** Shows the form that asks for a proof of identity. A submitted form is sent again together with the proof. */
  function askProof(ctx: Context, form: URLSearchParams, refusal?: Refusal): void {
    const isForm = ctx.method === 'POST' && ctx.path !== '/console/prove';
    const next = ctx.path === '/console/prove' ? (form.get('next') ?? '') : ctx.url;
    const { operator } = ctx.state['session'] as Session;
    const body = proofForm({
      action: isForm ? ctx.path : '/console/prove',
      fields: isForm ? form : new URLSearchParams({ next }),
      problem: refusal?.problem,
    });
    show(ctx, { title: t('Confirm it’s you'), operator, body, status: refusal?.status });
  }

  /**
   * Checks the proof of identity in a form, and shows the proof form again if it is not valid.
   * @returns whether the proof is valid.
   */
  async function proveWithForm(ctx: Context, form: URLSearchParams): Promise<boolean> {
    const token = (form.get('operator_token') ?? '').trim();
    form.delete('operator_token');
    try {
      await prove(ctx, token);
      return true;
    } catch (error) {
      askProof(ctx, form, refused(ctx, error));
      return false;
    }
  }

  function showSignIn(ctx: Context, form: Parameters<typeof signInForm>[0], refusal?: Refusal) {
    const body = signInForm({ ...form, problem: refusal?.problem });
    show(ctx, { title: t('Sign in'), operator: undefined, body, status: refusal?.status });
  }

  async function handleSignIn(ctx: Context): Promise<void> {
    const form = await readForm(ctx.req);
    const code = form.get('code');
    const proof = code === null ? { token: (form.get('token') ?? '').trim() } : { code };
    const [next, kept] = [form.get('next'), form.get('kept')];
    try {
      const visitor = visitorOf(ctx, addressOf);
      setSessionCookie(ctx, await limited(visitor.address, () => signIn(core, proof, visitor)));
    } catch (error) {
      return showSignIn(ctx, { next, kept }, refused(ctx, error));
    }
    if (kept === null) return seeOther(ctx, ownPath(next));
    const body = continueForm({ action: ownPath(next), fields: new URLSearchParams(kept) });
    show(ctx, { title: t('Signed in'), operator: undefined, body, status: undefined });
  }

  async function signOut(ctx: Context): Promise<void> {
    const cookie = readSessionCookie(ctx);
    if (cookie !== undefined) await forgetSession(core.database, siteOf(ctx).name, cookie);
    clearSessionCookie(ctx);
    // Also clear the pages that the browser has cached (W3C Clear Site Data).
    ctx.set('Clear-Site-Data', '"cache"');
    seeOther(ctx, '/console/sign-in');
  }

  return {
    askProof,
    proveWithForm,
    continueWith: prove,

    addRoutes(router: Router): void {
      router.get('/sign-in', (ctx) => {
        const { searchParams } = ctx.URL;
        showSignIn(ctx, { next: searchParams.get('next'), code: searchParams.get('code') ?? undefined });
      });
      router.post('/sign-in', handleSignIn);
      router.post('/sign-out', signOut);
    },

    addClosedRoutes(router: Router): void {
      router.post('/prove', async (ctx) => {
        const form = await readForm(ctx.req);
        if (await proveWithForm(ctx, form)) seeOther(ctx, ownPath(form.get('next')));
      });
    },

    /** Answers a form that arrives after its session has ended: asks to sign in, and keeps what was entered. */
    async keepForm(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      form.delete('operator_token');
      const text = form.toString();
      const isProof = ctx.path === '/console/prove';
      const kept = isProof || text.length > maxKept ? null : text;
      const problem =
        kept === null
          ? t('Your session has ended. Nothing was changed. Sign in again.')
          : t('Your session has ended. Nothing was changed. Sign in to continue with what you entered.');
      ctx.state['presented'] = true;
      showSignIn(ctx, { next: isProof ? form.get('next') : ctx.path, kept }, { status: 401, problem });
    },
  };
}

type Refusal = { status: number; problem: string };

/**
 * Returns the rejection to show with the form, for statuses 401 and 429. Other errors are thrown and become an error
 * page.
 */
function refused(ctx: Context, error: unknown): Refusal {
  ctx.state['presented'] = true;
  setRetryAfter(ctx, error);
  if (error instanceof KeyturnError && (error.status === 401 || error.status === 429)) {
    return { status: error.status, problem: told(error.message) };
  }
  throw error;
}

function show(
  ctx: Context,
  page: { title: string; operator: Session['operator'] | undefined; body: VNode; status: number | undefined },
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

/** Renders the sign-in form, for an operator token or the code of a link. */
function signInForm({
  next,
  kept = null,
  code,
  problem,
}: {
  next: string | null;
  /** The fields of a form that arrived after its session had ended. */
  kept?: string | null;
  /** The code of a link. If set, the form has no field for a token. */
  code?: string | undefined;
  problem?: string | undefined;
}): VNode {
  return html`<div class="narrow sign-in">
    <h1>${t('Sign in')}</h1>
    ${problem && notice('bad', problem)}
    <form class="card stack" method="post" action="/console/sign-in">
      ${next && html`<input type="hidden" name="next" value=${next} />`}
      ${kept !== null && html`<input type="hidden" name="kept" value=${kept} />`}
      ${
        code
          ? html`<p>${t('This link works once. Continue to sign in.')}</p>
              <input type="hidden" name="code" value=${code} />`
          : tokenField('token')
      }
      <button class="primary">${t('Sign in')}</button>
    </form>
    ${
      !code &&
      html`<p class="hint">
        ${rich('No token? An administrator of the server can create a link that signs you in once: <code>keyturn console link</code>')}
      </p>`
    }
  </div>`;
}

/** Renders the form that sends the kept entries again after a new sign-in. */
function continueForm({ action, fields }: { action: string; fields: URLSearchParams }): VNode {
  return html`<div class="narrow sign-in">
    <h1>${t('You are signed in again')}</h1>
    <p>${t('What you entered before your session ended is kept. Nothing has been changed yet.')}</p>
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
function proofForm({
  action,
  fields,
  problem,
}: {
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
      ${t('You signed in more than 15 minutes ago. To see a secret or to grant access, enter your operator token again. Nothing has been changed yet.')}
    </p>
    <form class="card stack" method="post" action=${action}>
      ${hiddenFields(fields)} ${tokenField('operator_token')}
      <button class="primary">${t('Continue')}</button>
    </form>
    <p class="hint">
      ${rich('If you signed in with a link and have no token, sign out and ask an administrator of the server for a new link: <code>keyturn console link</code>')}
    </p>
  </div>`;
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
