import { html } from 'htm/preact';
import type { Page, Visit } from '../../page.ts';
import { emptyState, pageHeading, statusBadges } from '../../parts/elements.ts';
import { filterForm } from '../../parts/forms.ts';
import { fromNow, lastUse } from '../../parts/moment.ts';
import { cannotView, doneNotice } from '../../parts/notices.ts';
import { nextPage, table } from '../../parts/table.ts';
import type { Listed, ShownClient } from '../../shown.ts';

const path = '/console/integrations';

/** Page that lists and searches integrations. */
export const integrationsPage: Page = {
  method: 'get',
  path: '/integrations',
  handle: async (visit) => ({
    title: 'Integrations',
    section: 'integrations',
    body: html`${pageHeading({
      title: 'Integrations',
      lead: 'Programs that get access tokens with a Client ID and a secret.',
      actions:
        visit.can('api_key:manage') &&
        html`<a class="button primary" href="/console/integrations/new">Generate Client ID and Secret</a>`,
    })}
    ${doneNotice(visit.query)}
    ${visit.can('integrations:view') ? await list(visit) : cannotView()}`,
  }),
};

async function list(visit: Visit) {
  const { q, status, cursor } = visit.query;
  const { body } = await visit.call<Listed<ShownClient>>('GET /clients', {
    query: { kind: 'integration', q: q || undefined, status: status || undefined, cursor },
  });
  const isFiltered = Boolean(q || status);
  if (body.data.length === 0 && !isFiltered) return noIntegrations(visit);
  return html`${filterForm({
    action: path,
    query: visit.query,
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
    ],
  })}
  ${
    body.data.length === 0
      ? emptyState('No integrations match', html`<p><a href=${path}>Show all integrations</a></p>`)
      : table({
          id: 'filtered',
          caption: 'Integrations',
          columns: [{ label: 'Name' }, { label: 'Status' }, { label: 'Last used' }, { label: 'Created' }],
          rows: body.data.map((client) => [
            html`<a class="strong" href=${`/console/clients/${client.client_id}`}>${client.name}</a>
              <code class="under">${client.client_id}</code>`,
            statusBadges(client, visit.now),
            lastUse(client.last_used_at, visit.now),
            fromNow(client.created_at, visit.now),
          ]),
        })
  }
  ${nextPage(path, visit.query, body.next_cursor)}`;
}

function noIntegrations(visit: Visit) {
  return emptyState(
    'No integrations yet',
    html`<p>
        An integration is a program that calls your API, run by a partner or by you. It gets short-lived access tokens with a
        Client ID and a secret.
      </p>
      ${
        visit.can('api_key:manage') &&
        html`<p><a class="button" href="/console/integrations/new">Generate the first Client ID and Secret</a></p>`
      }`,
  );
}
