import { html } from 'htm/preact';
import type { ShownAccessKey } from '../../page.ts';
import { emptyState } from '../../parts/elements.ts';
import { type Filter, stateFilter } from '../../parts/forms.ts';
import { listPage } from '../../parts/list-page.ts';
import { accessKeyTable } from './access-key-parts.ts';

const filters: readonly Filter[] = [
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
  stateFilter,
  { name: 'label', label: 'Label, such as team=logistics' },
  { name: 'client_id', label: 'Works with integration', pick: ['integration', 'resource_server'] },
];

/** Page that lists the access keys of all contacts. */
export const accessKeysPage = listPage<ShownAccessKey>({
  section: 'access-keys',
  title: 'Access keys',
  lead: 'All access keys of all contacts. A key identifies the contact that an integration acts for, and limits what it may do.',
  permission: 'integrations:view',
  route: 'GET /access-keys',
  search: 'Key name, contact name, or … and last 4 characters',
  filters,
  none: () =>
    emptyState(
      'No access keys yet',
      html`<p>An access key belongs to a contact, such as a partner. Create it on the page of that contact.</p>
        <p><a class="button" href="/console/contacts">Choose a contact</a></p>`,
    ),
  table: (visit, keys) => accessKeyTable(visit, keys, 'all contacts'),
});
