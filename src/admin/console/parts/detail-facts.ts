import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { writeClaimText } from '../../../clients/custom-claims.ts';
import { t } from '../languages/translate.ts';
import type { ShownAccessKey, ShownClient, ShownContact, Visit } from '../page.ts';
import { facts } from './elements.ts';
import { networkFact } from './network-fields.ts';
import { selfRotationText } from './self-rotation-field.ts';

/** Renders notes and claims. @param list path of the list that labels filter. */
export function noteFacts(
  shown: Pick<ShownAccessKey, 'description' | 'labels' | 'claims'>,
  list: string,
): Record<string, VNode | string | undefined> {
  const labels = Object.entries(shown.labels);
  const claims = Object.entries(shown.claims);
  return {
    [t('Description')]: shown.description === null ? undefined : html`<span class="lines">${shown.description}</span>`,
    [t('Labels')]:
      labels.length === 0
        ? undefined
        : html`<ul>${labels.map(([key, value]) => {
            const label = `${key}=${value}`;
            return html`<li><a href=${`${list}?label=${encodeURIComponent(label)}`}>${label}</a></li>`;
          })}</ul>`,
    [t('Claims')]:
      claims.length === 0
        ? undefined
        : html`<ul>${claims.map(([name, value]) => html`<li><code>${`${name}=${writeClaimText(value)}`}</code></li>`)}</ul>`,
  };
}

/** Renders the details of a client, or that there are none. */
export async function detailsCard(visit: Visit, client: ShownClient, owner: ShownContact | undefined): Promise<VNode> {
  const { access_token_ttl: ttl, default_scope: scope, metadata } = client;
  const list = client.kind === 'integration' ? '/console/integrations' : '/console/resource-servers';
  const known = {
    [t('Owner')]: owner && html`<a href=${`/console/contacts/${owner.id}`}>${owner.name}</a>`,
    ...noteFacts(client, list),
    [t('Technical contacts')]: client.contacts.length > 0 ? client.contacts.join(', ') : undefined,
    [t('Token lifetime')]: ttl === null ? undefined : t('{seconds} seconds', { seconds: ttl }),
    [t('Default permissions')]: scope === null ? undefined : scope || t('none: requests without scope are rejected'),
    [t('Dialects')]: client.dialects.length > 0 ? client.dialects.join(', ') : undefined,
    [t('Self-rotation')]: client.self_rotation ? selfRotationText() : undefined,
    [t('Accepted from')]:
      client.allowed_networks === null
        ? undefined
        : await networkFact(visit, '/clients/{client_id}', { client_id: client.client_id }, client),
    [t('Metadata')]: Object.keys(metadata).length > 0 ? html`<code>${JSON.stringify(metadata)}</code>` : undefined,
  };
  return html`<section class="card" aria-labelledby="details">
    <h2 id="details">${t('Details')}</h2>
    ${Object.values(known).some(Boolean) ? facts(known) : html`<p class="muted">${t('No owner, notes, token lifetime, claims or networks.')}</p>`}
  </section>`;
}
