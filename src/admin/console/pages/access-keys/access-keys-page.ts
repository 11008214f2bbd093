import { html } from 'htm/preact';
import type { Page } from '../../page.ts';
import { emptyState, pageHeading } from '../../parts/elements.ts';
import { filterForm } from '../../parts/forms.ts';
import { doneNotice } from '../../parts/notices.ts';
import { nextPage } from '../../parts/table.ts';
import type { Listed, ShownAccessKey } from '../../shown.ts';
import { accessKeyTable } from './access-key-parts.ts';

const path = '/console/access-keys';

const filters = [
  {
    name: 'status',
    label: 'Status',
    options: [
      ['', 'Any status'],
      ['enabled', 'Enabled'],
      ['disabled', 'Disabled'],
      ['expired', 'Expired'],
    ],
  },
  {
    name: 'unused_for_days',
    label: 'Unused',
    options: [
      ['', 'Used and unused'],
      ['7', 'Unused for 7 days'],
      ['30', 'Unused for 30 days'],
      ['90', 'Unused for 90 days'],
      ['365', 'Unused for a year'],
    ],
  },
] as const;

/** Page that lists the access keys of all contacts. */
export const accessKeysPage: Page = {
  method: 'get',
  path: '/access-keys',
  permission: 'integrations:view',
  handle: async (visit) => {
    const { q, status, unused_for_days: unused, cursor } = visit.query;
    const { body } = await visit.call<Listed<ShownAccessKey>>('GET /access-keys', {
      query: {
        q: q || undefined,
        status: status || undefined,
        unused_for_days: unused || undefined,
        cursor,
        limit: '25',
      },
    });
    const isFiltered = Boolean(q || status || unused);
    return {
      title: 'Access keys',
      section: 'access-keys',
      body: html`${pageHeading({
        title: 'Access keys',
        lead: 'All access keys of all contacts. A key identifies the contact that an integration acts for, and limits what it may do.',
      })}
      ${doneNotice(visit.query)}
      ${
        body.data.length === 0 && !isFiltered
          ? emptyState(
              'No access keys yet',
              html`<p>An access key belongs to a contact, such as a partner. Create it on the page of that contact.</p>
                <p><a class="button" href="/console/contacts">Choose a contact</a></p>`,
            )
          : html`${filterForm({ action: path, query: visit.query, search: 'Key name, contact name, or … and last 4 characters', filters })}
            ${
              body.data.length === 0
                ? emptyState('No access keys match', html`<p><a href=${path}>Show all access keys</a></p>`)
                : accessKeyTable(visit, body.data, 'all contacts')
            }
            ${nextPage(path, visit.query, body.next_cursor)}`
      }`,
    };
  },
};
