import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { Core } from '../../core.ts';
import { KeyturnError } from '../../errors.ts';
import { ownPath } from './own-path.ts';
import { notice } from './parts/notice.ts';
import { proveAgain, signIn } from './prove.ts';
import { readForm } from './read-form.ts';
import { renderDocument } from './render-document.ts';
import { endSession, type Session } from './session.ts';
import { clearSessionCookie, readSessionCookie, setSessionCookie } from './session-cookie.ts';
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
        return show(ctx, { next, ...refused(error) });
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
        return show(ctx, { next, operator, ...refused(error) });
      }
      seeOther(ctx, ownPath(next));
    },

    async signOut(ctx: Context): Promise<void> {
      const cookie = readSessionCookie(ctx);
      if (cookie !== undefined) await endSession(core.database, cookie);
      clearSessionCookie(ctx);
      // RFC: Clear Site Data. What the browser kept of the pages goes too.
      ctx.set('Clear-Site-Data', '"cache"');
      seeOther(ctx, '/console/sign-in');
    },
  };
}

function seeOther(ctx: Context, path: string): void {
  ctx.status = 303;
  ctx.set('Location', path);
  ctx.body = '';
}

/** Shown beside the form, which can be tried again. Anything else is an error page. */
function refused(error: unknown): { status: number; problem: string } {
  if (error instanceof KeyturnError && (error.status === 401 || error.status === 429)) {
    return { status: error.status, problem: error.message };
  }
  throw error;
}

type SignInForm = {
  next: string | null;
  /** Of a link: there is nothing to enter. */
  code?: string;
  /** Who is signed in already, and is asked once more. */
  operator?: Session['operator'];
  status?: number;
  problem?: string;
};

function show(ctx: Context, form: SignInForm): void {
  const title = form.operator ? 'Prove that it is you' : 'Sign in';
  ctx.status = form.status ?? 200;
  ctx.type = 'text/html; charset=utf-8';
  ctx.body = renderDocument({ title, operator: form.operator, body: signInForm(title, form) });
}

function signInForm(title: string, { next, code, operator, problem }: SignInForm) {
  return html`<div class="narrow sign-in">
    <h1>${title}</h1>
    ${problem && notice('bad', problem)}
    ${operator && html`<p>A secret is shown only to somebody who has proved who they are within the last 15 minutes.</p>`}
    <form class="card stack" method="post" action=${operator ? '/console/prove' : '/console/sign-in'}>
      ${next && html`<input type="hidden" name="next" value=${next} />`}
      ${
        code
          ? html`<p>This link signs you in once.</p>
              <input type="hidden" name="code" value=${code} />`
          : html`<div class="field">
              <label for="token">Operator token</label>
              <input
                id="token"
                name="token"
                type="password"
                autocomplete="current-password"
                autocapitalize="none"
                spellcheck="false"
                required
                autofocus
                placeholder="kto_…"
                aria-describedby="token-hint"
              />
              <p class="hint" id="token-hint">It starts with kto_ and was shown once, when it was issued for you.</p>
            </div>`
      }
      <button class="primary">${operator ? 'Go on' : 'Sign in'}</button>
    </form>
    ${
      !operator &&
      !code &&
      html`<p class="hint">
        No token? Whoever runs the server can make a link that signs you in once: <code>keyturn console link</code>
      </p>`
    }
  </div>`;
}
