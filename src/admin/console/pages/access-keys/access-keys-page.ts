import { html } from 'htm/preact';
import { msg, t } from '../../languages/translate.ts';
import type { ShownAccessKey } from '../../page.ts';
import { emptyState } from '../../parts/elements.ts';
import { type Filter, stateFilter } from '../../parts/forms.ts';
import { listPage } from '../../parts/list-page.ts';
import { accessKeyTable } from './access-key-parts.ts';

const filters: readonly Filter[] = [
  {
    name: 'status',
    label: msg('Status'),
    options: [
      ['', msg('Any status')],
      ['enabled', msg('Enabled')],
      ['disabled', msg('Disabled')],
      ['expired', msg('Expired')],
    ],
  },
  {
    name: 'unused_for_days',
    label: msg('Unused'),
    options: [
      ['', msg('Used and unused')],
      ['7', msg('Unused for 7 days')],
      ['30', msg('Unused for 30 days')],
      ['90', msg('Unused for 90 days')],
      ['365', msg('Unused for a year')],
    ],
  },
  stateFilter,
  { name: 'label', label: msg('Label (tier=gold)') },
  { name: 'client_id', label: msg('Works with integration'), pick: ['integration', 'resource_server'] },
];

/** Page that lists the access keys of all contacts. */
export const accessKeysPage = listPage<ShownAccessKey>({
  section: 'access-keys',
  title: msg('Access keys'),
  lead: msg(
    'All access keys of all contacts. A key identifies the contact that an integration acts for, and limits what it may do.',
  ),
  permission: 'integrations:view',
  own: true,
  route: 'GET /access-keys',
  search: msg('Key name, contact name, or … and last 4 characters'),
  noMatch: msg('No access keys match'),
  showAll: msg('Show all access keys'),
  filters,
  none: () =>
    emptyState(
      t('No access keys yet'),
      html`<p>${t('An access key belongs to a contact, such as a partner. Create it on the page of that contact.')}</p>
        <p><a class="button" href="/console/contacts">${t('Choose a contact')}</a></p>`,
    ),
  table: (visit, keys) => accessKeyTable(visit, keys, 'all contacts'),
});
