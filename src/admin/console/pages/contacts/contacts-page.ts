import { html } from 'htm/preact';
import { permissionNames } from '../../../../contacts/contact.ts';
import type { Page, Visit } from '../../page.ts';
import { emptyState, pageHeading } from '../../parts/elements.ts';
import { filterForm } from '../../parts/forms.ts';
import { fromNow } from '../../parts/moment.ts';
import { cannotView, doneNotice } from '../../parts/notices.ts';
import { nextPage, table } from '../../parts/table.ts';
import type { Listed, ShownContact } from '../../shown.ts';

const path = '/console/contacts';

/** Page that lists and searches contacts: people, partners and operators. */
export const contactsPage: Page = {
  method: 'get',
  path: '/contacts',
  handle: async (visit) => ({
    title: 'Contacts',
    section: 'contacts',
    body: html`${pageHeading({
      title: 'Contacts',
      lead: 'People and partners that hold access keys, and the operators of this console.',
      actions:
        visit.can('contacts:manage') && html`<a class="button primary" href="/console/contacts/new">New contact</a>`,
    })}
    ${doneNotice(visit.query)}
    ${visit.can('integrations:view') ? await list(visit) : cannotView()}`,
  }),
};

async function list(visit: Visit) {
  const { q, cursor } = visit.query;
  const { body } = await visit.call<Listed<ShownContact>>('GET /contacts', { query: { q: q || undefined, cursor } });
  return html`${filterForm({ action: path, query: visit.query, search: 'Name, e-mail address or external ID' })}
    ${
      body.data.length === 0
        ? emptyState('No contacts match', html`<p><a href=${path}>Show all contacts</a></p>`)
        : table({
            id: 'filtered',
            caption: 'Contacts',
            columns: [{ label: 'Name' }, { label: 'External ID' }, { label: 'Operator access' }, { label: 'Created' }],
            rows: body.data.map((contact) => [
              html`<a class="strong" href=${`/console/contacts/${contact.id}`}>${contact.name}</a
                ><span class="under">${contact.email}</span>`,
              contact.external_id ?? html`<span class="muted">none</span>`,
              operator(contact),
              fromNow(contact.created_at, visit.now),
            ]),
          })
    }
    ${nextPage(path, visit.query, body.next_cursor)}`;
}

function operator({ permissions, operator_token_hint: hint }: ShownContact) {
  if (permissions.length === 0 && hint === null) return html`<span class="muted">none</span>`;
  return html`<span>${hint === null ? 'no token' : html`token <code>${hint}</code>`}</span
    ><span class="under">${permissions.map((each) => permissionNames[each]).join(', ') || 'no permissions'}</span>`;
}
