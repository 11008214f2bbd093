import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Reply } from '../page.ts';
import { notice } from '../parts/notices.ts';

/** Where a person proves who they are. */
export function signInForm({
  title,
  next,
  code,
  isAgain = false,
  problem,
}: {
  title: string;
  next: string | null;
  /** Of a link: there is nothing to enter. */
  code?: string | undefined;
  /** Whether they are signed in already. */
  isAgain?: boolean;
  problem?: string | undefined;
}): VNode {
  return html`<div class="narrow sign-in">
    <h1>${title}</h1>
    ${problem && notice('bad', problem)}
    ${isAgain && html`<p>A secret is shown only to somebody who has proved who they are within the last 15 minutes.</p>`}
    <form class="card stack" method="post" action=${isAgain ? '/console/prove' : '/console/sign-in'}>
      ${next && html`<input type="hidden" name="next" value=${next} />`}
      ${
        code
          ? html`<p>This link signs you in once.</p>
              <input type="hidden" name="code" value=${code} />`
          : tokenField()
      }
      <button class="primary">${isAgain ? 'Go on' : 'Sign in'}</button>
    </form>
    ${
      !code &&
      html`<p class="hint">
        No token? Whoever runs the server can make a link that signs you in once: <code>keyturn console link</code>${isAgain && '. Sign out first.'}
      </p>`
    }
  </div>`;
}

function tokenField(): VNode {
  return html`<div class="field">
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
  </div>`;
}

/** Instead of a secret, to somebody whose sign-in is too old for that. @param next where to go on. */
export function showProveAgain(next: string): Reply {
  const title = 'Prove that it is you';
  return { title, body: signInForm({ title, next, isAgain: true }) };
}
