import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { findDisabledTogether } from '../../../../access-keys/disable-keys-of-contact.ts';
import { t } from '../../languages/translate.ts';
import type { Page, ShownContact, ShownKeysReview, Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';
import { lastUse, table } from '../../parts/elements.ts';

/** Pages that disable all access keys of a contact after one review. */
export const disableAccessKeysPages: readonly Page[] = [
  ...confirmedAct({
    path: '/contacts/:id/disable-access-keys',
    permission: 'integrations:edit',
    confirm: async (visit) => {
      const params = { id: visit.params['id'] };
      const { body: contact } = await visit.call<ShownContact>('GET /contacts/{id}', { params });
      const { body: review } = await visit.call<ShownKeysReview>('GET /contacts/{id}/access-keys/disable', { params });
      return {
        title: t('Disable all access keys of {name}?', { name: contact.name }),
        section: 'contacts',
        body: impact(visit, review),
        ...(review.total === 0 ? {} : { button: t('Disable all access keys') }),
        back: { path: `/console/contacts/${contact.id}`, label: contact.name },
      };
    },
    act: async (visit) => {
      await visit.call('POST /contacts/{id}/access-keys/disable', { params: { id: visit.params['id'] } });
      return { seeOther: `/console/contacts/${visit.params['id']}`, done: 'keys-disabled' };
    },
  }),
  {
    method: 'post',
    path: '/contacts/:id/disable-access-keys/undo',
    permission: 'integrations:edit',
    handle: async (visit) => {
      for (const { id } of await findDisabledTogether(
        visit.core.database,
        visit.params['id'] ?? '',
        visit.operator.id,
      )) {
        await visit.call('POST /access-keys/{id}/enable', { params: { id } });
      }
      return { seeOther: `/console/contacts/${visit.params['id']}`, done: 'keys-enabled' };
    },
  },
];

function impact(visit: Visit, { total, access_keys: keys }: ShownKeysReview): VNode {
  if (total === 0) return html`<p>${t('All access keys of this contact are already disabled.')}</p>`;
  const used = keys.filter((key) => key.tokens_24h > 0);
  const tokens = used.reduce((sum, key) => sum + key.tokens_24h, 0);
  return html`<ul class="bullets">
      <li>${t('{total, plural, one {# access key is disabled. Token requests with it fail immediately, and active tokens are inactive.} other {# access keys are disabled. Token requests with them fail immediately, and active tokens are inactive.}}', { total })}</li>
      <li>${
        used.length === 0
          ? t('None of them got a token in the last 24 hours.')
          : t(
              'In the last 24 hours, {tokens, plural, one {# token was} other {# tokens were}} issued with {used, number} of them.',
              { tokens, used: used.length },
            )
      }</li>
      <li>${t('You can enable them again at any time.')}</li>
    </ul>
    ${table({
      caption: t('Enabled access keys'),
      columns: [
        { label: t('Name') },
        { label: t('Last used') },
        { label: t('Tokens in 24 hours'), isNumber: true },
        { label: t('Integrations at the same sources') },
      ],
      rows: keys.map((key) => [
        html`<a class="strong" href=${`/console/access-keys/${key.id}`}>${key.name}</a>`,
        lastUse(key.last_used_at, visit.now),
        key.tokens_24h,
        key.integrations.length === 0
          ? html`<span class="muted">${t('none')}</span>`
          : html`<ul>${key.integrations.map((each) => html`<li><a href=${clientPath(each.client_id)}>${each.name}</a></li>`)}</ul>`,
      ]),
    })}
    ${total > keys.length && html`<p class="hint">${t('Only the {count, number} that were used last are listed.', { count: keys.length })}</p>`}`;
}
