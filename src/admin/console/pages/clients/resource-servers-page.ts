import { html } from 'htm/preact';
import type { Page, Visit } from '../../page.ts';
import { emptyState, pageHeading, statusBadges } from '../../parts/elements.ts';
import { filterForm } from '../../parts/forms.ts';
import { lastUse } from '../../parts/moment.ts';
import { cannotView, doneNotice } from '../../parts/notices.ts';
import { nextPage, table } from '../../parts/table.ts';
import type { Listed, ShownClient } from '../../shown.ts';

const path = '/console/resource-servers';

/** Page that lists and searches resource servers. */
export const resourceServersPage: Page = {
  method: 'get',
  path: '/resource-servers',
  handle: async (visit) => ({
    title: 'Resource servers',
    section: 'resource-servers',
    body: html`${pageHeading({
      title: 'Resource servers',
      lead: 'APIs that receive access tokens, and the kinds of information that they offer.',
      actions:
        visit.can('api_key:manage') &&
        html`<a class="button primary" href="/console/resource-servers/new">Register a resource server</a>`,
    })}
    ${doneNotice(visit.query)}
    ${visit.can('integrations:view') ? await list(visit) : cannotView()}`,
  }),
};

async function list(visit: Visit) {
  const { q, cursor } = visit.query;
  const { body } = await visit.call<Listed<ShownClient>>('GET /clients', {
    query: { kind: 'resource_server', q: q || undefined, cursor },
  });
  if (body.data.length === 0 && !q) {
    return emptyState(
      'No resource servers yet',
      html`<p>A resource server is an API that receives and checks access tokens. Integrations can be granted permissions for the kinds of information that it offers.</p>`,
    );
  }
  return html`${filterForm({ action: path, query: visit.query, search: 'Name or Client ID' })}
    ${
      body.data.length === 0
        ? emptyState('No resource servers match', html`<p><a href=${path}>Show all resource servers</a></p>`)
        : table({
            id: 'filtered',
            caption: 'Resource servers',
            columns: [
              { label: 'Name' },
              { label: 'Status' },
              { label: 'Kinds of information' },
              { label: 'Access token format' },
              { label: 'Last used' },
            ],
            rows: body.data.map((client) => [
              html`<a class="strong" href=${`/console/clients/${client.client_id}`}>${client.name}</a
                ><code class="under">${client.resource}</code>`,
              statusBadges(client, visit.now),
              client.information.join(', ') || html`<span class="muted">none</span>`,
              client.token_format === 'jwt' ? 'JWT' : 'opaque',
              lastUse(client.last_used_at, visit.now),
            ]),
          })
    }
    ${nextPage(path, visit.query, body.next_cursor)}`;
}
