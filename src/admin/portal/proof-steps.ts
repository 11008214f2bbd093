import { html } from 'htm/preact';
import type { ComponentChildren, VNode } from 'preact';
import { rich, t } from '../console/languages/translate.ts';
import { hiddenFields } from '../console/parts/forms.ts';

/** Renders the steps that renew the proof of identity, and the button that sends the kept form again. */
export function proofSteps(page: {
  withPasskey?: VNode;
  title: string;
  lead: string;
  provider: string;
  returnUrl: string | null;
  /** Whether people can request a link by e-mail. */
  hasMail: boolean;
  action: string;
  fields: URLSearchParams;
}): VNode {
  const { withPasskey, title, lead, provider, returnUrl, hasMail, action, fields } = page;
  const inNewTab = (href: string) => (content: ComponentChildren) =>
    html`<a href=${href} target="_blank" rel="noopener">${content}</a>`;
  return html`<div class="narrow sign-in">
    <h1>${title}</h1>
    <p>${lead}</p>
    ${withPasskey}
    <form class="card stack" method="post" action=${action}>
      ${hiddenFields(fields)}
      <ol class="numbered">
        <li>
          ${
            returnUrl
              ? rich(
                  '<a>Open {provider} in a new tab</a>, and open the integrations there. That signs you in here too.',
                  { provider, a: inNewTab(returnUrl) },
                )
              : hasMail
                ? rich('<a>Request a sign-in link by e-mail in a new tab</a>, and open it in this browser.', {
                    a: inNewTab('/console/sign-in'),
                  })
                : t('Ask for a new link where you got the last one, and open it in another tab of this browser.')
          }
        </li>
        <li>${t('Come back to this tab, and continue.')}</li>
      </ol>
      <button class="primary">${t('Continue')}</button>
    </form>
    ${
      hasMail &&
      returnUrl &&
      html`<p class="hint">
        ${rich('You can also <a>request a sign-in link by e-mail in a new tab</a>, and open it in this browser.', {
          a: inNewTab('/console/sign-in'),
        })}
      </p>`
    }
  </div>`;
}
