import type { Context } from 'koa';
import type { VNode } from 'preact';
import type { Core } from '../../../core.ts';
import { KeyturnError } from '../../../errors.ts';
import { setRetryAfter } from '../../../http/error-answer.ts';
import { createAttemptLimit } from '../../rate-limits.ts';
import { readForm } from '../read-form.ts';
import { renderDocument } from '../render-document.ts';
import { seeOther } from '../see-other.ts';
import { proveAgain, signIn } from './prove.ts';
import { clearSessionCookie, readSessionCookie, sessionMark, setSessionCookie } from './require-session.ts';
import { endSession, type Session } from './session.ts';
import { continueForm, proofForm, signInForm } from './sign-in-form.ts';

/** Maximum number of failed attempts per minute from one network. */
const perMinute = 10;

/** Maximum length of a kept form, which is encoded once more when it is sent together with the sign-in. */
const maxKept = 80 * 1024;

/** Handlers for signing in, signing out, and renewing the proof of identity. */
export type Signing = ReturnType<typeof signInPages>;

/**
 * Creates the handlers for signing in with an operator token or a link, renewing the proof of identity, and signing
 * out.
 */
export function signInPages(core: Core, addressOf: (request: Context['req']) => string) {
  const limited = createAttemptLimit(perMinute);

  const visitorOf = (ctx: Context) => ({
    address: addressOf(ctx.req),
    cookie: readSessionCookie(ctx),
    mark: sessionMark(ctx),
  });

  /**
   * Renews the session's proof of identity.
   * @throws {KeyturnError} 401 if the token is not valid, 429 after too many failures.
   */
  async function prove(ctx: Context, token: string): Promise<void> {
    const { operator } = ctx.state['session'] as Session;
    const visitor = visitorOf(ctx);
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
    show(ctx, { title: 'Confirm it’s you', operator, body, status: refusal?.status });
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
    show(ctx, { title: 'Sign in', operator: undefined, body, status: refusal?.status });
  }

  return {
    askProof,
    proveWithForm,
    continueWith: prove,

    showSignIn(ctx: Context): void {
      const { searchParams } = ctx.URL;
      showSignIn(ctx, { next: searchParams.get('next'), code: searchParams.get('code') ?? undefined });
    },

    /** Answers a form that arrives after its session has ended: asks to sign in, and keeps what was entered. */
    async keepForm(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      form.delete('operator_token');
      const text = form.toString();
      const isProof = ctx.path === '/console/prove';
      const kept = isProof || text.length > maxKept ? null : text;
      const problem = `Your session has ended. Nothing was changed. ${kept === null ? 'Sign in again.' : 'Sign in to continue with what you entered.'}`;
      ctx.state['presented'] = true;
      showSignIn(ctx, { next: isProof ? form.get('next') : ctx.path, kept }, { status: 401, problem });
    },

    async signIn(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      const code = form.get('code');
      const proof = code === null ? { token: (form.get('token') ?? '').trim() } : { code };
      const [next, kept] = [form.get('next'), form.get('kept')];
      try {
        const visitor = visitorOf(ctx);
        setSessionCookie(ctx, await limited(visitor.address, () => signIn(core, proof, visitor)));
      } catch (error) {
        return showSignIn(ctx, { next, kept }, refused(ctx, error));
      }
      if (kept === null) return seeOther(ctx, ownPath(next));
      const body = continueForm({ action: ownPath(next), fields: new URLSearchParams(kept) });
      show(ctx, { title: 'Signed in', operator: undefined, body, status: undefined });
    },

    async proveAgain(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      if (await proveWithForm(ctx, form)) seeOther(ctx, ownPath(form.get('next')));
    },

    async signOut(ctx: Context): Promise<void> {
      const cookie = readSessionCookie(ctx);
      if (cookie !== undefined) await endSession(core.database, cookie);
      clearSessionCookie(ctx);
      // Also clear the pages that the browser has cached (W3C Clear Site Data).
      ctx.set('Clear-Site-Data', '"cache"');
      seeOther(ctx, '/console/sign-in');
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
    return { status: error.status, problem: error.message };
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
  ctx.body = renderDocument(document);
}

/**
 * Returns the path to redirect to after signing in. Accepts only console paths, because the `next` parameter may come
 * from an untrusted link.
 */
function ownPath(path: string | null | undefined): `/console/${string}` {
  const base = 'http://console.invalid';
  if (!path || !URL.canParse(path, base)) return '/console/';
  const { origin, pathname, search } = new URL(path, base);
  const isOwn = origin === base && pathname.startsWith('/console/') && !pathname.startsWith('/console/sign-');
  return isOwn ? (`${pathname}${search}` as `/console/${string}`) : '/console/';
}
