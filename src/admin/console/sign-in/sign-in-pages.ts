import type { Context } from 'koa';
import type { VNode } from 'preact';
import type { Core } from '../../../core.ts';
import { KeyturnError } from '../../../errors.ts';
import { createAttemptLimit } from '../../attempt-limit.ts';
import { TooManyRequests } from '../../problem.ts';
import { readForm } from '../read-form.ts';
import { renderDocument } from '../render-document.ts';
import { seeOther } from '../see-other.ts';
import { proveAgain, signIn } from './prove.ts';
import { endSession, type Session } from './session.ts';
import { clearSessionCookie, readSessionCookie, sessionMark, setSessionCookie } from './session-cookie.ts';
import { proofForm, signInForm } from './sign-in-form.ts';

/** Failed attempts of one network in a minute. */
const perMinute = 10;

/** Signing in and out, and proving again who is signed in. */
export type Signing = ReturnType<typeof signInPages>;

/** The pages around a session: signing in with an operator token or a link, proving it again, signing out. */
export function signInPages(core: Core, addressOf: (request: Context['req']) => string) {
  const limited = createAttemptLimit(perMinute);

  const visitorOf = (ctx: Context) => ({
    address: addressOf(ctx.req),
    cookie: readSessionCookie(ctx),
    mark: sessionMark(ctx),
  });

  /** @throws {KeyturnError} 401, 429 */
  async function prove(ctx: Context, token: string): Promise<void> {
    const { operator } = ctx.state['session'] as Session;
    const visitor = visitorOf(ctx);
    setSessionCookie(ctx, await limited(visitor.address, () => proveAgain(core, operator.id, token, visitor)));
  }

  /** Shows the form that asks for a proof. A form that was sent is sent again together with the proof. */
  function askProof(ctx: Context, form: URLSearchParams, refusal?: Refusal): void {
    const isForm = ctx.method === 'POST' && ctx.path !== '/console/prove';
    const next = ctx.path === '/console/prove' ? (form.get('next') ?? '') : ctx.url;
    const { operator } = ctx.state['session'] as Session;
    const body = proofForm({
      action: isForm ? ctx.path : '/console/prove',
      fields: isForm ? form : new URLSearchParams({ next }),
      problem: refusal?.problem,
    });
    show(ctx, { title: 'Confirm that it is you', operator, body, status: refusal?.status });
  }

  /** @returns whether the form holds a proof. If not, the form that asks for it was shown again. */
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

  function showSignIn(ctx: Context, form: { next: string | null; code?: string | undefined }, refusal?: Refusal) {
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

    async signIn(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      const code = form.get('code');
      const proof = code === null ? { token: (form.get('token') ?? '').trim() } : { code };
      const next = form.get('next');
      try {
        const visitor = visitorOf(ctx);
        setSessionCookie(ctx, await limited(visitor.address, () => signIn(core, proof, visitor)));
      } catch (error) {
        return showSignIn(ctx, { next }, refused(ctx, error));
      }
      seeOther(ctx, ownPath(next));
    },

    async proveAgain(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      if (await proveWithForm(ctx, form)) seeOther(ctx, ownPath(form.get('next')));
    },

    async signOut(ctx: Context): Promise<void> {
      const cookie = readSessionCookie(ctx);
      if (cookie !== undefined) await endSession(core.database, cookie);
      clearSessionCookie(ctx);
      // W3C Clear Site Data: what the browser kept of the pages goes too.
      ctx.set('Clear-Site-Data', '"cache"');
      seeOther(ctx, '/console/sign-in');
    },
  };
}

type Refusal = { status: number; problem: string };

/** A refusal that is shown beside the form, which can be tried again. Anything else is an error page. */
function refused(ctx: Context, error: unknown): Refusal {
  ctx.state['presented'] = true;
  if (error instanceof TooManyRequests) ctx.set('Retry-After', String(error.retryAfterSeconds));
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

/** Where to go on after signing in: a page of the console, whatever somebody put into a link. */
function ownPath(path: string | null | undefined): `/console/${string}` {
  const base = 'http://console.invalid';
  if (!path || !URL.canParse(path, base)) return '/console/';
  const { origin, pathname, search } = new URL(path, base);
  const isOwn = origin === base && pathname.startsWith('/console/') && !pathname.startsWith('/console/sign-');
  return isOwn ? (`${pathname}${search}` as `/console/${string}`) : '/console/';
}
