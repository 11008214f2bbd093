import type { Context } from 'koa';
import type { Core } from '../../../core.ts';
import { KeyturnError } from '../../../errors.ts';
import { TooManyRequests } from '../../problem.ts';
import { readForm } from '../read-form.ts';
import { renderDocument } from '../render-document.ts';
import { seeOther } from '../see-other.ts';
import { proveAgain, signIn } from './prove.ts';
import { endSession, type Session } from './session.ts';
import { clearSessionCookie, readSessionCookie, setSessionCookie } from './session-cookie.ts';
import { signInForm } from './sign-in-form.ts';
import { createSignInLimit } from './sign-in-limit.ts';

/** Signing in, with an operator token or a link that is good once; proving it again; signing out. */
export function signInPages(core: Core, addressOf: (request: Context['req']) => string) {
  const limited = createSignInLimit();

  return {
    showSignIn(ctx: Context): void {
      const code = ctx.URL.searchParams.get('code');
      show(ctx, { next: ctx.URL.searchParams.get('next'), ...(code ? { code } : {}) });
    },

    async signIn(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      const code = form.get('code');
      const proof = code === null ? { token: (form.get('token') ?? '').trim() } : { code };
      const next = form.get('next');
      try {
        const visitor = { address: addressOf(ctx.req), cookie: readSessionCookie(ctx) };
        setSessionCookie(ctx, await limited(visitor.address, () => signIn(core, proof, visitor)));
      } catch (error) {
        return show(ctx, { next, ...refused(ctx, error) });
      }
      seeOther(ctx, ownPath(next));
    },

    async proveAgain(ctx: Context): Promise<void> {
      const form = await readForm(ctx.req);
      const next = form.get('next');
      const { operator } = ctx.state['session'] as Session;
      const token = (form.get('token') ?? '').trim();
      try {
        const visitor = { address: addressOf(ctx.req), cookie: readSessionCookie(ctx) };
        setSessionCookie(ctx, await limited(visitor.address, () => proveAgain(core, token, visitor)));
      } catch (error) {
        return show(ctx, { next, operator, ...refused(ctx, error) });
      }
      seeOther(ctx, ownPath(next));
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

/** Shown beside the form, which can be tried again. Anything else is an error page. */
function refused(ctx: Context, error: unknown): { status: number; problem: string } {
  if (error instanceof TooManyRequests) ctx.set('Retry-After', String(error.retryAfterSeconds));
  if (error instanceof KeyturnError && (error.status === 401 || error.status === 429)) {
    return { status: error.status, problem: error.message };
  }
  throw error;
}

type SignIn = {
  next: string | null;
  code?: string;
  /** Who is signed in already, and is asked once more. */
  operator?: Session['operator'];
  status?: number;
  problem?: string;
};

function show(ctx: Context, { operator, status = 200, ...form }: SignIn): void {
  const title = operator ? 'Prove that it is you' : 'Sign in';
  ctx.status = status;
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({ title, operator, body: signInForm({ ...form, title, isAgain: operator !== undefined }) });
}

/** Where to go on after signing in: a page of the console, whatever somebody put into a link. */
function ownPath(path: string | null | undefined): `/console/${string}` {
  const base = 'http://console.invalid';
  if (!path || !URL.canParse(path, base)) return '/console/';
  const { origin, pathname, search } = new URL(path, base);
  const isOwn = origin === base && pathname.startsWith('/console/') && !pathname.startsWith('/console/sign-');
  return isOwn ? (`${pathname}${search}` as `/console/${string}`) : '/console/';
}
