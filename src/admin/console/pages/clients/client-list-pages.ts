import { html } from 'htm/preact';
import type { ShownClient } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { badge, emptyState, fromNow, lastUse, statusBadges, table } from '../../parts/elements.ts';
import { stateFilter } from '../../parts/forms.ts';
import { listPage } from '../../parts/list-page.ts';

/** Links from labels, owners and organizations lead to lists with these filters. */
const detailFilters = [
  { name: 'label', label: 'Label, such as team=logistics' },
  { name: 'owner_contact_id', label: 'Owner', pick: ['contact'] as const },
  { name: 'organization_id', label: 'Organization', isHidden: true },
];

/** Page that lists and searches integrations. */
export const integrationsPage = listPage<ShownClient>({
  section: 'integrations',
  title: 'Integrations',
  lead: 'Programs that get access tokens with a Client ID and a secret.',
  action: {
    permission: 'api_key:manage',
    path: '/console/integrations/new',
    label: 'Generate Client ID and Secret',
  },
  route: 'GET /clients',
  query: { kind: 'integration' },
  search: 'Name or Client ID',
  filters: [
    {
      name: 'status',
      label: 'Status',
      options: [
        ['', 'Any status'],
        ['enabled', 'Enabled'],
        ['disabled', 'Disabled'],
      ],
    },
    stateFilter,
    {
      name: 'awaits_first_use',
      label: 'Secret',
      options: [
        ['', 'Any secret'],
        ['true', 'Awaits first use'],
      ],
    },
    ...detailFilters,
  ],
  none: (visit) =>
    emptyState(
      'No integrations yet',
      html`<p>
          An integration is a program that calls your API, run by a partner or by you. It gets short-lived access tokens with a
          Client ID and a secret.
        </p>
        ${
          visit.can('api_key:manage') &&
          html`<p><a class="button" href="/console/integrations/new">Generate the first Client ID and Secret</a></p>`
        }`,
    ),
  table: (visit, clients) =>
    table({
      caption: 'Integrations',
      columns: [{ label: 'Name' }, { label: 'Status' }, { label: 'Last used' }, { label: 'Created' }],
      rows: clients.map((client) => [
        html`<a class="strong" href=${clientPath(client.client_id)}>${client.name}</a>
          <code class="under">${client.client_id}</code>`,
        html`${statusBadges(client, visit.now)} ${
          client.secrets.some((secret) => secret.awaits_first_use) && badge('warn', 'awaits first use')
        }`,
        lastUse(client.last_used_at, visit.now),
        fromNow(client.created_at, visit.now),
      ]),
    }),
});

/** Page that lists and searches resource servers. */
export const resourceServersPage = listPage<ShownClient>({
  section: 'resource-servers',
  title: 'Resource servers',
  lead: 'APIs that receive access tokens, and the kinds of information that they offer.',
  action: {
    permission: 'api_key:manage',
    path: '/console/resource-servers/new',
    label: 'Register a resource server',
  },
  route: 'GET /clients',
  query: { kind: 'resource_server' },
  search: 'Name or Client ID',
  filters: detailFilters,
  none: () =>
    emptyState(
      'No resource servers yet',
      html`<p>A resource server is an API that receives and checks access tokens. Integrations can be granted permissions for the kinds of information that it offers.</p>`,
    ),
  table: (visit, clients) =>
    table({
      caption: 'Resource servers',
      columns: [
        { label: 'Name' },
        { label: 'Status' },
        { label: 'Kinds of information' },
        { label: 'Access token format' },
        { label: 'Last used' },
      ],
      rows: clients.map((client) => [
        html`<a class="strong" href=${clientPath(client.client_id)}>${client.name}</a
          ><code class="under">${client.resource}</code>`,
        statusBadges(client, visit.now),
        client.information.join(', ') || html`<span class="muted">none</span>`,
        client.token_format === 'jwt' ? 'JWT' : 'opaque',
        lastUse(client.last_used_at, visit.now),
      ]),
    }),
});
