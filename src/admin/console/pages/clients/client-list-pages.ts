import { html } from 'htm/preact';
import { msg, t } from '../../languages/translate.ts';
import type { ShownClient } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { badge, emptyState, fromNow, lastUse, statusBadges, table } from '../../parts/elements.ts';
import { stateFilter } from '../../parts/forms.ts';
import { listPage } from '../../parts/list-page.ts';

/** Links from labels, owners and organizations lead to lists with these filters. */
const detailFilters = [
  { name: 'label', label: msg('Label (tier=gold)') },
  { name: 'owner_contact_id', label: msg('Owner'), pick: ['contact'] as const },
  { name: 'organization_id', label: msg('Organization'), isHidden: true },
];

/** Page that lists and searches integrations. */
export const integrationsPage = listPage<ShownClient>({
  section: 'integrations',
  title: msg('Integrations'),
  lead: msg('Programs that get access tokens with a Client ID and a secret.'),
  action: {
    permission: 'api_key:manage',
    path: '/console/integrations/new',
    label: msg('Generate Client ID and Secret'),
  },
  route: 'GET /clients',
  query: { kind: 'integration' },
  search: msg('Name or Client ID'),
  noMatch: msg('No integrations match'),
  showAll: msg('Show all integrations'),
  filters: [
    {
      name: 'status',
      label: msg('Status'),
      options: [
        ['', msg('Any status')],
        ['enabled', msg('Enabled')],
        ['disabled', msg('Disabled')],
      ],
    },
    stateFilter,
    {
      name: 'awaits_first_use',
      label: msg('Secret'),
      options: [
        ['', msg('Any secret')],
        ['true', msg('Awaits first use')],
      ],
    },
    ...detailFilters,
  ],
  none: (visit) =>
    emptyState(
      t('No integrations yet'),
      html`<p>
          ${t('An integration is a program that calls your API, run by a partner or by you. It gets short-lived access tokens with a Client ID and a secret.')}
        </p>
        ${
          visit.can('api_key:manage') &&
          html`<p><a class="button" href="/console/integrations/new">${t('Generate the first Client ID and Secret')}</a></p>`
        }`,
    ),
  table: (visit, clients) =>
    table({
      caption: t('Integrations'),
      columns: [{ label: t('Name') }, { label: t('Status') }, { label: t('Last used') }, { label: t('Created') }],
      rows: clients.map((client) => [
        html`<a class="strong" href=${clientPath(client.client_id)}>${client.name}</a>
          <code class="under">${client.client_id}</code>`,
        html`${statusBadges(client, visit.now)} ${
          client.secrets.some((secret) => secret.awaits_first_use) && badge('warn', t('awaits first use'))
        }`,
        lastUse(client.last_used_at, visit.now),
        fromNow(client.created_at, visit.now),
      ]),
    }),
});

/** Page that lists and searches resource servers. */
export const resourceServersPage = listPage<ShownClient>({
  section: 'resource-servers',
  title: msg('Resource servers'),
  lead: msg('APIs that receive access tokens, and the kinds of information that they offer.'),
  action: {
    permission: 'api_key:manage',
    path: '/console/resource-servers/new',
    label: msg('Register a resource server'),
  },
  route: 'GET /clients',
  query: { kind: 'resource_server' },
  search: msg('Name or Client ID'),
  noMatch: msg('No resource servers match'),
  showAll: msg('Show all resource servers'),
  filters: detailFilters,
  none: () =>
    emptyState(
      t('No resource servers yet'),
      html`<p>${t('A resource server is an API that receives and checks access tokens. Integrations can be granted permissions for the kinds of information that it offers.')}</p>`,
    ),
  table: (visit, clients) =>
    table({
      caption: t('Resource servers'),
      columns: [
        { label: t('Name') },
        { label: t('Status') },
        { label: t('Kinds of information') },
        { label: t('Access token format') },
        { label: t('Last used') },
      ],
      rows: clients.map((client) => [
        html`<a class="strong" href=${clientPath(client.client_id)}>${client.name}</a
          ><code class="under">${client.resource}</code>`,
        statusBadges(client, visit.now),
        client.information.join(', ') || html`<span class="muted">${t('none')}</span>`,
        client.token_format === 'jwt' ? 'JWT' : t('opaque'),
        lastUse(client.last_used_at, visit.now),
      ]),
    }),
});
