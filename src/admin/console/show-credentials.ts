import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Reply } from './page.ts';
import { copyable } from './parts/copyable.ts';
import { notice } from './parts/notice.ts';
import { pageHeading } from './parts/page-heading.ts';
import { tokenRequest } from './parts/token-request.ts';
import type { ShownClient } from './shown.ts';
import type { Visit } from './visit.ts';

/** The one page that a client's secret stands on. It is the answer to a POST, never stored, and nowhere in the history. */
export function showCredentials(
  { core, can }: Visit,
  shown: {
    title: string;
    said: VNode;
    client: Pick<ShownClient, 'client_id' | 'name' | 'kind' | 'access_key'>;
    clientSecret: string | undefined;
  },
): Reply {
  const { client, clientSecret } = shown;
  return {
    title: shown.title,
    section: client.kind === 'integration' ? 'integrations' : 'resource-servers',
    body: html`${pageHeading({ title: shown.title, lead: client.name })} ${notice('ok', shown.said)}
      <section class="card" aria-label="Credentials">
        ${copyable({ id: 'client-id', label: 'Client ID', value: client.client_id })}
        ${clientSecret !== undefined && copyable({ id: 'client-secret', label: 'Client secret', value: clientSecret })}
      </section>
      ${
        client.kind === 'integration' &&
        clientSecret !== undefined &&
        tokenRequest(`${core.issuer}/oauth2/token`, {
          clientId: client.client_id,
          clientSecret,
          needsAccessKey: client.access_key === 'required',
        })
      }
      ${can('integrations:view') && html`<p><a class="button" href=${`/console/clients/${client.client_id}`}>${`Go to ${client.name}`}</a></p>`}`,
  };
}
