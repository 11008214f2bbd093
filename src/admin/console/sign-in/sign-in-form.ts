import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { hiddenFields } from '../parts/forms.ts';
import { notice } from '../parts/notices.ts';

/** Renders the sign-in form, for an operator token or the code of a link. */
export function signInForm({
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
    <h1>Sign in</h1>
    ${problem && notice('bad', problem)}
    <form class="card stack" method="post" action="/console/sign-in">
      ${next && html`<input type="hidden" name="next" value=${next} />`}
      ${kept !== null && html`<input type="hidden" name="kept" value=${kept} />`}
      ${
        code
          ? html`<p>This link works once. Continue to sign in.</p>
              <input type="hidden" name="code" value=${code} />`
          : tokenField('token')
      }
      <button class="primary">Sign in</button>
    </form>
    ${
      !code &&
      html`<p class="hint">
        No token? An administrator of the server can create a link that signs you in once: <code>keyturn console link</code>
      </p>`
    }
  </div>`;
}

/** Renders the form that continues, after signing in again, with what was entered before. */
export function continueForm({ action, fields }: { action: string; fields: URLSearchParams }): VNode {
  return html`<div class="narrow sign-in">
    <h1>You are signed in again</h1>
    <p>What you entered before your session ended is kept. Nothing has been changed yet.</p>
    <form class="card stack" method="post" action=${action}>
      ${hiddenFields(fields)}
      <div class="actions"><button class="primary">Continue</button><a class="button" href="/console/">Discard</a></div>
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
}: {
  /** Path that the form is sent to: the page that required the proof, or `/console/prove`. */
  action: string;
  /** Fields of the original form, which are sent again together with the proof. */
  fields: URLSearchParams;
  problem?: string | undefined;
}): VNode {
  return html`<div class="narrow sign-in">
    <h1>Confirm it’s you</h1>
    ${problem && notice('bad', problem)}
    <p>
      You signed in more than 15 minutes ago. To see a secret or to grant access, enter your operator token again. Nothing has been changed yet.
    </p>
    <form class="card stack" method="post" action=${action}>
      ${hiddenFields(fields)} ${tokenField('operator_token')}
      <button class="primary">Continue</button>
    </form>
    <p class="hint">
      If you signed in with a link and have no token, sign out and ask an administrator of the server for a new link: <code>keyturn console link</code>
    </p>
  </div>`;
}

function tokenField(name: 'token' | 'operator_token'): VNode {
  return html`<div class="field">
    <label for="token">Operator token</label>
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
    <p class="hint" id="token-hint">It starts with kto_ and was shown once, when it was issued.</p>
  </div>`;
}
