import type Router from '@koa/router';
import { html } from 'htm/preact';
import type { Context } from 'koa';
import type { VNode } from 'preact';
import type { Core } from '../../../core.ts';
import { beginProof, passkeySite } from '../../../passkeys/verify-passkey.ts';
import { t } from '../languages/translate.ts';
import type { Session } from './session.ts';

/**
 * Renders the button that uses a passkey, inside a form that gets the answer of the browser as `passkey`. The button is
 * hidden until the script runs, because WebAuthn needs one.
 * @param options path that returns the options for the browser.
 */
export function passkeyButton(options: '/console/sign-in/passkey' | '/console/prove/passkey'): VNode {
  return html`<input type="hidden" name="passkey" value="" disabled />
    <button type="button" class="wide" data-passkey="get" formaction=${options} data-failed=${failedText()} hidden>
      ${t('Use a passkey')}
    </button>
    <p class="problem" data-passkey-problem role="alert"></p>`;
}

/** Returns the text for a passkey that the browser did not give. */
export function failedText(): string {
  return t('The browser did not give a passkey. Try again, or use another way.');
}

/**
 * Adds the routes that return the options with which the browser uses a passkey: to sign in, and to renew the proof of
 * identity.
 */
export function passkeyRoutes(core: Core, urlOf: (ctx: Context) => string) {
  const respond = async (ctx: Context, contact: string | null) => {
    ctx.body = await beginProof(core.database, core, passkeySite(urlOf(ctx)), contact);
  };
  return {
    addRoutes: (router: Router) => router.post('/sign-in/passkey', (ctx) => respond(ctx, null)),
    addClosedRoutes: (router: Router) =>
      router.post('/prove/passkey', (ctx) => respond(ctx, (ctx.state['session'] as Session).operator.id)),
  };
}
