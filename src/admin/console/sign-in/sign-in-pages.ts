import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Core } from '../../../core.ts';
import { passkeySite } from '../../../passkeys/verify-passkey.ts';
import { createAttemptLimit } from '../../operator-auth.ts';
import { t } from '../languages/translate.ts';
import { readForm, seeOther } from '../post-redirect-get.ts';
import { passkeyRoutes } from './passkey-forms.ts';
import { type Proof, proveAgain, signIn } from './prove.ts';
import { type Session, setSessionCookie, visitorOf } from './session.ts';
import { continueForm, ownPath, proofForm, type Refusal, refused, show, signInForm } from './sign-in-forms.ts';
import { singleSignOn } from './single-sign-on.ts';

/** Maximum number of failed attempts per minute from one network. */
const perMinute = 10;

/** Maximum length of a kept form, which is encoded once more when it is sent together with the sign-in. */
const maxKept = 80 * 1024;

/**
 * Creates the handlers for signing in with an operator token, a link or an identity provider, and for renewing the proof
 * of identity.
 * @param urlOf returns the URL, without a path, at which the browser reaches the site.
 */
export function signInPages(
  core: Core,
  addressOf: (request: Context['req']) => string,
  urlOf: (ctx: Context) => string,
) {
  const limited = createAttemptLimit(perMinute);
  const passkeys = passkeyRoutes(core, urlOf);

  /** Returns the proof of identity in a form: the use of a passkey, or an operator token. */
  function proofIn(ctx: Context, passkey: string | null, token: string | null): Proof {
    return passkey ? { passkey, at: passkeySite(urlOf(ctx)) } : { token: (token ?? '').trim() };
  }

  /**
   * Renews the session's proof of identity.
   * @throws {KeyturnError} 401 if the token is not valid, 429 after too many failures.
   */
  async function prove(ctx: Context, proof: Proof): Promise<void> {
    const { operator } = ctx.state['session'] as Session;
    const visitor = visitorOf(ctx, addressOf);
    setSessionCookie(ctx, await limited(visitor.address, () => proveAgain(core, operator.id, proof, visitor)));
  }

  /** Shows the form that asks for a proof of identity. A submitted form is sent again together with the proof. */
  async function askProof(ctx: Context, form: URLSearchParams, refusal?: Refusal): Promise<void> {
    const isForm = ctx.method === 'POST' && ctx.path !== '/console/prove';
    const next = ctx.path === '/console/prove' ? (form.get('next') ?? '') : ctx.url;
    const { operator, provider } = ctx.state['session'] as Session;
    const body = proofForm({
      provider: provider === null ? undefined : await core.providers.find(provider),
      next: isForm ? ctx.path : next,
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
    const proof = proofIn(ctx, form.get('passkey'), form.get('operator_token'));
    form.delete('operator_token');
    form.delete('passkey');
    try {
      await prove(ctx, proof);
      return true;
    } catch (error) {
      await askProof(ctx, form, refused(ctx, error));
      return false;
    }
  }

  async function showSignIn(ctx: Context, form: Parameters<typeof signInForm>[0], refusal?: Refusal): Promise<void> {
    const providers = form.providers ?? (await core.providers.ofDeployment());
    const body = signInForm({ ...form, providers, problem: refusal?.problem });
    show(ctx, { title: t('Sign in'), operator: undefined, body, status: refusal?.status });
  }

  async function handleSignIn(ctx: Context): Promise<void> {
    const form = await readForm(ctx.req);
    const code = form.get('code');
    const proof = code === null ? proofIn(ctx, form.get('passkey'), form.get('token')) : { code, browser: undefined };
    const [next, kept] = [form.get('next'), form.get('kept')];
    try {
      const visitor = visitorOf(ctx, addressOf);
      setSessionCookie(ctx, await limited(visitor.address, () => signIn(core, proof, visitor)));
    } catch (error) {
      return await showSignIn(ctx, { next, kept }, refused(ctx, error));
    }
    if (kept === null) return seeOther(ctx, ownPath(next));
    const body = continueForm({ action: ownPath(next), fields: new URLSearchParams(kept) });
    show(ctx, { title: t('Signed in'), operator: undefined, body, status: undefined });
  }

  const sso = singleSignOn(core, {
    urlOf,
    visitorOf: (ctx) => visitorOf(ctx, addressOf),
    limited,
    showSignIn,
    refused,
  });

  return {
    askProof,
    proveWithForm,
    continueWith: (ctx: Context, token: string) => prove(ctx, { token }),

    addRoutes(router: Router): void {
      router.get('/sign-in', async (ctx) => {
        const { searchParams } = ctx.URL;
        await showSignIn(ctx, { next: searchParams.get('next'), code: searchParams.get('code') ?? undefined });
      });
      router.post('/sign-in', handleSignIn);
      passkeys.addRoutes(router);
      sso.addRoutes(router);
    },

    addClosedRoutes(router: Router): void {
      router.post('/prove', async (ctx) => {
        const form = await readForm(ctx.req);
        if (await proveWithForm(ctx, form)) seeOther(ctx, ownPath(form.get('next')));
      });
      sso.addClosedRoutes(router);
      passkeys.addClosedRoutes(router);
    },

    /** Answers a form that arrives after its session has ended: asks to sign in, and keeps what was entered. */
    async keepForm(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      form.delete('operator_token');
      form.delete('passkey');
      const text = form.toString();
      const isProof = ctx.path.startsWith('/console/prove');
      const kept = isProof || text.length > maxKept ? null : text;
      const problem =
        kept === null
          ? t('Your session has ended. Nothing was changed. Sign in again.')
          : t('Your session has ended. Nothing was changed. Sign in to continue with what you entered.');
      ctx.state['presented'] = true;
      await showSignIn(ctx, { next: isProof ? form.get('next') : ctx.path, kept }, { status: 401, problem });
    },
  };
}
