import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Permission } from '../../../contacts/contact.ts';
import type { ShownAttention, Visit } from '../page.ts';
import { clientPath } from './client-path.ts';
import { badge, exactMoment, fromNow, table } from './elements.ts';
import { postForm } from './forms.ts';
import { sourceName } from './usage-section.ts';

type Item = ShownAttention['data'][number];
type Kind = Item['kind'];

/** Renders the items that need attention, each with its next act, and the number of further items of each kind. */
export function attentionList(visit: Visit, { data, counts }: ShownAttention): VNode {
  return html`${table({
    id: 'needed',
    caption: 'What needs attention, the most urgent first',
    columns: [{ label: 'Name' }, { label: 'Reason' }, { label: 'Time' }, { label: 'Next step' }],
    rows: data.map((item) => [name(item), reason(item), when(visit, item), nextAct(visit, item)]),
  })}
  ${more(data, counts)}`;
}

/** Returns the path of the page of the thing. */
function pathOf({ client_id: clientId, access_key_id: keyId }: Item): string {
  return clientId === null ? `/console/access-keys/${keyId}` : clientPath(clientId);
}

function name(item: Item): VNode {
  return html`<a class="strong" href=${pathOf(item)}>${item.name}</a>${
    item.contact_id === null
      ? html`<code class="under">${item.client_id}</code>`
      : html`<span class="under">access key of <a href=${`/console/contacts/${item.contact_id}`}>${item.contact_name}</a></span>`
  }`;
}

const tones = { urgent: 'bad', soon: 'warn', later: 'plain' } as const;

function reason({ urgency, message, sources, source_count: total }: Item): VNode {
  return html`${badge(tones[urgency], urgency)} ${message}
    ${
      sources.length > 0 &&
      html`<ul class="bullets">
        ${sources.map((source) => html`<li>${sourceName(source)}</li>`)}
        ${total > sources.length && html`<li>${`and ${total - sources.length} more`}</li>`}
      </ul>`
    }`;
}

const timeLabels: Record<Kind, string> = {
  refused_credential: 'Last rejected',
  grace_period_ending: 'Grace period ends',
  grace_period_complete: 'Grace period ends',
  resource_server_disabled: 'Disabled',
  resource_server_silent: 'Last request',
  certificate_expiring: 'Expires',
  access_key_expiring: 'Expires',
  unused_client: 'Last used',
  unused_access_key: 'Last used',
};

function when({ now }: Visit, { kind, at }: Item): VNode {
  return html`<span class="under">${timeLabels[kind]}</span>${
    at === null
      ? html`<span class="muted">never</span>`
      : html`${fromNow(at, now)}<span class="under">${exactMoment(at)}</span>`
  }`;
}

/** The next act of each kind: its label, its path below the page of the thing, and what it needs. */
const acts: Record<Kind, { label: string; below: (item: Item) => string; needs?: Permission; isPost?: true }> = {
  refused_credential: { label: 'See the sources', below: () => '#use' },
  grace_period_ending: {
    label: 'Extend grace period',
    below: ({ regeneration_id: id }) => `/regenerations/${id}/extend`,
  },
  grace_period_complete: {
    label: 'End grace period',
    below: ({ regeneration_id: id }) => `/regenerations/${id}/finish`,
  },
  resource_server_disabled: { label: 'Enable', below: () => '/enable', needs: 'integrations:edit', isPost: true },
  resource_server_silent: { label: 'See its requests', below: () => '?hours=720#use' },
  certificate_expiring: { label: 'Replace certificate', below: () => '/replace', needs: 'api_key:manage' },
  access_key_expiring: { label: 'Change expiry', below: () => '#field-expires_at', needs: 'integrations:edit' },
  unused_client: { label: 'Disable…', below: () => '/disable', needs: 'integrations:edit' },
  unused_access_key: { label: 'Disable Key…', below: () => '/disable', needs: 'integrations:edit' },
};

function nextAct(visit: Visit, item: Item): VNode {
  const { label, below, needs, isPost } = acts[item.kind];
  const needed = item.regeneration_id === null ? needs : item.client_id ? 'api_key:manage' : 'integrations:edit';
  // Several rows can have the same act, so its name for screen readers contains the thing.
  const of = html`<span class="unseen">${` ${item.name}`}</span>`;
  if (needed && !visit.can(needed)) return html`<a class="button" href=${pathOf(item)}>Open${of}</a>`;
  const path = `${pathOf(item)}${below(item)}`;
  if (isPost) return postForm(path, html`<button>${label}${of}</button>`, 'inline');
  return html`<a class="button" href=${path}>${label}${of}</a>`;
}

const plurals: Record<Kind, string> = {
  refused_credential: 'more clients or access keys are rejected with an ended credential',
  grace_period_ending: 'more grace periods have sources that have not moved',
  grace_period_complete: 'more grace periods can be ended',
  resource_server_disabled: 'more resource servers are disabled',
  resource_server_silent: 'more resource servers are silent',
  certificate_expiring: 'more certificates expire within 14 days',
  access_key_expiring: 'more access keys expire within 14 days',
  unused_client: 'more integrations were not used for 90 days',
  unused_access_key: 'more access keys were not used for 90 days',
};

function more(data: readonly Item[], counts: ShownAttention['counts']): VNode | null {
  const rest = counts
    .map(({ kind, count }) => ({ kind, count: count - data.filter((item) => item.kind === kind).length }))
    .filter(({ count }) => count > 0);
  if (rest.length === 0) return null;
  return html`<ul class="bullets muted">
    ${rest.map(({ kind, count }) => {
      const said = `${count} ${plurals[kind]}`;
      return html`<li>${kind === 'unused_access_key' ? html`<a href="/console/access-keys?unused_for_days=90">${said}</a>` : said}</li>`;
    })}
  </ul>`;
}
