import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { shellQuote } from '../../../../text/quote-text.ts';
import type { Reply, Visit } from '../../page.ts';
import { codeBlock, copyable, pageHeading } from '../../parts/elements.ts';
import { notice } from '../../parts/notices.ts';

/** Renders the only page that contains the value of an access key. */
export function showAccessKey(
  { core, can }: Visit,
  shown: { title: string; said: VNode; id: string; name: string; value: string },
): Reply {
  const curl = `curl -sS -u "$CLIENT_ID:$CLIENT_SECRET" \\\n  -d grant_type=client_credentials -d access_key=${shellQuote(shown.value)} \\\n  ${shellQuote(`${core.issuer}/oauth2/token`)}`;
  return {
    title: shown.title,
    section: 'access-keys',
    body: html`${pageHeading({ title: shown.title, lead: shown.name })} ${notice('ok', shown.said)}
      <section class="card" aria-label="Access key">${copyable({ id: 'access-key', label: 'Access key', value: shown.value })}</section>
      <section class="card" aria-labelledby="ask">
        <h2 id="ask">Use the key</h2>
        <p>Send the key together with the Client ID and secret of an integration. It identifies the contact that the integration acts for.</p>
        ${codeBlock({ id: 'curl', label: 'curl command', code: curl })}
      </section>
      ${can('integrations:view') && html`<p><a class="button" href=${`/console/access-keys/${shown.id}`}>${`Go to ${shown.name}`}</a></p>`}`,
  };
}
