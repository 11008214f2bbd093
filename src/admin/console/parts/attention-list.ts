import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Permission } from '../../../contacts/contact.ts';
import { linkTo, type Message, msg, rich, t, translate } from '../languages/translate.ts';
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
    caption: t('What needs attention, the most urgent first'),
    columns: [{ label: t('Name') }, { label: t('Reason') }, { label: t('Time') }, { label: t('Next step') }],
    rows: data.map((item) => [name(visit, item), reason(item), when(visit, item), nextAct(visit, item)]),
  })}
  ${more(data, counts)}`;
}

/** Returns the path of the page of the thing. */
function pathOf({ site }: Visit, item: Item): string {
  const { client_id: clientId, access_key_id: keyId, notice_id: noticeId, operator_token_id: tokenId } = item;
  if (item.approval_id !== null) return `/console/approvals/${item.approval_id}`;
  if (tokenId !== null) return site.name === 'console' ? `/console/operator-tokens/${tokenId}` : '/console/contacts';
  if (item.webhook_id !== null) return `/console/webhooks/${item.webhook_id}`;
  if (item.audit_stream !== null) return '/console/system';
  if (noticeId !== null) return `/console/notices/${noticeId}`;
  return clientId === null ? `/console/access-keys/${keyId}` : clientPath(clientId);
}

function name(visit: Visit, item: Item): VNode {
  if (item.operator_token_id !== null) return tokenName(item);
  return html`<a class="strong" href=${pathOf(visit, item)}>${item.name}</a>${
    item.approval_id !== null
      ? html`<span class="under">${t('request for approval')}</span>`
      : item.webhook_id !== null
        ? html`<span class="under">${t('webhook')}</span>`
        : item.notice_id !== null || item.audit_stream !== null
          ? html`<span class="under">${item.audit_stream === null ? t('notice') : t('audit log')}</span>`
          : item.contact_id === null
            ? html`<code class="under">${item.client_id}</code>`
            : html`<span class="under">${rich('access key of <a>{contactName}</a>', { contactName: item.contact_name, a: linkTo(`/console/contacts/${item.contact_id}`) })}</span>`
  }`;
}

function tokenName({ name, contact_id: id, contact_name: contact }: Item): VNode {
  const of = { contactName: contact, a: id === null ? html`<span />` : linkTo(`/console/contacts/${id}`) };
  return html`<span class="strong">${name}</span><span class="under">${rich('operator token of <a>{contactName}</a>', of)}</span>`;
}

const tones = { urgent: 'bad', soon: 'warn', later: 'plain' } as const;
const urgencies = { urgent: msg('urgent'), soon: msg('soon'), later: msg('later') };

function reason({ urgency, message, sources, source_count: total }: Item): VNode {
  return html`${badge(tones[urgency], t(urgencies[urgency]))} ${translate(message)}
    ${
      sources.length > 0 &&
      html`<ul class="bullets">
        ${sources.map((source) => html`<li>${sourceName(source)}</li>`)}
        ${total > sources.length && html`<li>${t('and {count, number} more', { count: total - sources.length })}</li>`}
      </ul>`
    }`;
}

const timeLabels: Record<Kind, Message> = {
  refused_credential: msg('Last rejected'),
  grace_period_ending: msg('Grace period ends'),
  grace_period_complete: msg('Grace period ends'),
  resource_server_disabled: msg('Disabled'),
  resource_server_silent: msg('Last request'),
  webhook_disabled: msg('Disabled'),
  notice_parked: msg('Given up'),
  audit_stream_late: msg('Oldest event'),
  break_glass_used: msg('Last used'),
  approval_pending: msg('Expires'),
  certificate_expiring: msg('Expires'),
  access_key_expiring: msg('Expires'),
  unused_client: msg('Last used'),
  policy_violated: msg('Last used'),
  unused_access_key: msg('Last used'),
};

function when({ now }: Visit, { kind, at }: Item): VNode {
  return html`<span class="under">${t(timeLabels[kind])}</span>${
    at === null
      ? html`<span class="muted">${t('never')}</span>`
      : html`${fromNow(at, now)}<span class="under">${exactMoment(at)}</span>`
  }`;
}

/** The next act of each kind: its label, its path below the page of the thing, and what it needs. */
const acts: Record<Kind, { label: Message; below: (item: Item) => string; needs?: Permission; isPost?: true }> = {
  refused_credential: { label: msg('See the sources'), below: () => '#use' },
  grace_period_ending: {
    label: msg('Extend grace period'),
    below: ({ regeneration_id: id }) => `/regenerations/${id}/extend`,
  },
  grace_period_complete: {
    label: msg('End grace period'),
    below: ({ regeneration_id: id }) => `/regenerations/${id}/finish`,
  },
  resource_server_disabled: { label: msg('Enable'), below: () => '/enable', needs: 'integrations:edit', isPost: true },
  resource_server_silent: { label: msg('See its requests'), below: () => '?hours=720#use' },
  webhook_disabled: { label: msg('Open the webhook'), below: () => '' },
  notice_parked: { label: msg('Open the notice'), below: () => '' },
  approval_pending: { label: msg('Open the request'), below: () => '' },
  audit_stream_late: { label: msg('See the settings'), below: () => '' },
  break_glass_used: { label: msg('Acknowledge'), below: () => '/acknowledge', needs: 'contacts:manage', isPost: true },
  certificate_expiring: { label: msg('Replace certificate'), below: () => '/replace', needs: 'api_key:manage' },
  access_key_expiring: { label: msg('Change expiry'), below: () => '#field-expires_at', needs: 'integrations:edit' },
  policy_violated: { label: msg('Open'), below: () => '' },
  unused_client: { label: msg('Disable…'), below: () => '/disable', needs: 'integrations:edit' },
  unused_access_key: { label: msg('Disable Key…'), below: () => '/disable', needs: 'integrations:edit' },
};

function nextAct(visit: Visit, item: Item): VNode {
  const { label, below, needs, isPost } = acts[item.kind];
  const needed = item.regeneration_id === null ? needs : item.client_id ? 'api_key:manage' : 'integrations:edit';
  // Several rows can have the same act, so its name for screen readers contains the thing.
  const of = html`<span class="unseen">${` ${item.name}`}</span>`;
  if (item.kind === 'break_glass_used' && (visit.site.name !== 'console' || !visit.can('contacts:manage'))) {
    return html`<span class="muted">${translate(item.next_step)}</span>`;
  }
  if (needed && !visit.can(needed)) return html`<a class="button" href=${pathOf(visit, item)}>${t('Open')}${of}</a>`;
  const path = `${pathOf(visit, item)}${below(item)}`;
  if (isPost) return postForm(path, html`<button>${t(label)}${of}</button>`, 'inline');
  return html`<a class="button" href=${path}>${t(label)}${of}</a>`;
}

const plurals: Record<Kind, Message> = {
  refused_credential: msg(
    '{count, plural, one {# more client or access key is} other {# more clients or access keys are}} rejected with an ended credential',
  ),
  grace_period_ending: msg(
    '{count, plural, one {# more grace period has} other {# more grace periods have}} sources that have not moved',
  ),
  grace_period_complete: msg('{count, plural, one {# more grace period} other {# more grace periods}} can be ended'),
  resource_server_disabled: msg(
    '{count, plural, one {# more resource server is} other {# more resource servers are}} disabled',
  ),
  resource_server_silent: msg(
    '{count, plural, one {# more resource server is} other {# more resource servers are}} silent',
  ),
  webhook_disabled: msg('{count, plural, one {# more webhook was} other {# more webhooks were}} disabled'),
  notice_parked: msg('{count, plural, one {# more notice} other {# more notices}} could not be delivered'),
  approval_pending: msg('{count, plural, one {# more request waits} other {# more requests wait}} for your approval'),
  audit_stream_late: msg(
    '{count, plural, one {# more receiver of the audit log is} other {# more receivers of the audit log are}} behind',
  ),
  break_glass_used: msg(
    '{count, plural, one {# more break-glass token was} other {# more break-glass tokens were}} used',
  ),
  certificate_expiring: msg(
    '{count, plural, one {# more certificate expires} other {# more certificates expire}} within 14 days',
  ),
  access_key_expiring: msg(
    '{count, plural, one {# more access key expires} other {# more access keys expire}} within 14 days',
  ),
  policy_violated: msg(
    '{count, plural, one {# more client or access key violates} other {# more clients or access keys violate}} a policy',
  ),
  unused_client: msg(
    '{count, plural, one {# more integration was} other {# more integrations were}} not used for 90 days',
  ),
  unused_access_key: msg(
    '{count, plural, one {# more access key was} other {# more access keys were}} not used for 90 days',
  ),
};

function more(data: readonly Item[], counts: ShownAttention['counts']): VNode | null {
  const rest = counts
    .map(({ kind, count }) => ({ kind, count: count - data.filter((item) => item.kind === kind).length }))
    .filter(({ count }) => count > 0);
  if (rest.length === 0) return null;
  return html`<ul class="bullets muted">
    ${rest.map(({ kind, count }) => {
      const said = t(plurals[kind], { count });
      return html`<li>${kind === 'unused_access_key' ? html`<a href="/console/access-keys?unused_for_days=90">${said}</a>` : said}</li>`;
    })}
  </ul>`;
}
