import { html } from 'htm/preact';
import type { VNode } from 'preact';
import type { Listed, Page, ShownClient, ShownContact, ShownOrganization, Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { noteFacts } from '../../parts/detail-fields.ts';
import {
  badge,
  emptyState,
  facts,
  fromNow,
  inWords,
  lastUse,
  pageHeading,
  statusBadges,
  table,
} from '../../parts/elements.ts';
import { historySection } from '../../parts/event-sentence.ts';
import { postForm } from '../../parts/forms.ts';
import { listPage } from '../../parts/list-page.ts';
import { scopesInWords } from '../../parts/named-scopes.ts';

/** Page that lists and searches organizations. */
export const organizationsPage = listPage<ShownOrganization>({
  section: 'organizations',
  title: 'Organizations',
  lead: 'Customers and partners, to which contacts and integrations belong.',
  action: { permission: 'contacts:manage', path: '/console/organizations/new', label: 'New organization' },
  route: 'GET /organizations',
  search: 'Name or external ID',
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
    { name: 'label', label: 'Label, such as tier=gold' },
  ],
  none: () => emptyState('No organizations', html`<p>An organization is a customer or partner of yours.</p>`),
  table: (visit, organizations) =>
    table({
      caption: 'Organizations',
      columns: [
        { label: 'Name' },
        { label: 'Status' },
        { label: 'Integrations', isNumber: true },
        { label: 'Access keys', isNumber: true },
        { label: 'Contacts', isNumber: true },
        { label: 'Created' },
      ],
      rows: organizations.map((organization) => [
        html`<a class="strong" href=${`/console/organizations/${organization.id}`}>${organization.name}</a
          >${organization.external_id && html`<span class="under">${organization.external_id}</span>`}`,
        organizationStatus(organization),
        outOf(organization.integrations, organization.ceiling.integrations),
        outOf(organization.access_keys, organization.ceiling.access_keys),
        String(organization.contacts),
        fromNow(organization.created_at, visit.now),
      ]),
    }),
});

function organizationStatus({ status, is_deployment: isDeployment }: ShownOrganization): VNode {
  return html`<span class="badges">${badge(status === 'enabled' ? 'ok' : 'bad', status)}${isDeployment && badge('plain', 'this deployment')}</span>`;
}

function outOf(count: number, max: number | null): string {
  return max === null ? String(count) : `${count} of ${max}`;
}

/** Page of one organization: its integrations, contacts and ceiling. */
export const organizationPage: Page = {
  method: 'get',
  path: '/organizations/:id',
  permission: 'integrations:view',
  handle: async (visit) => {
    const params = { id: visit.params['id'] };
    const query = { organization_id: params.id, limit: '10' };
    const [{ body: organization }, { body: clients }, { body: contacts }] = await Promise.all([
      visit.call<ShownOrganization>('GET /organizations/{id}', { params }),
      visit.call<Listed<ShownClient>>('GET /clients', { query: { ...query, kind: 'integration' } }),
      visit.call<Listed<ShownContact>>('GET /contacts', { query }),
    ]);
    const at = `/console/organizations/${organization.id}`;
    const mayManage = visit.can('contacts:manage');
    return {
      title: organization.name,
      section: 'organizations',
      body: html`${pageHeading({
        title: organization.name,
        lead: organizationStatus(organization),
        back: { path: '/console/organizations', label: 'Organizations' },
        actions: mayManage && html`<a class="button" href=${`${at}/edit`}>Edit</a>`,
      })}
      ${integrations(visit, organization, clients)} ${contactsOf(visit, organization, contacts)}
      <div class="grid two">${about(visit, organization)} ${ceiling(organization)}</div>
      ${await historySection(visit, organization.id)} ${mayManage && !organization.is_deployment && danger(organization, at)}`,
    };
  },
};

function integrations(
  visit: Visit,
  { id }: ShownOrganization,
  { data, next_cursor: next }: Listed<ShownClient>,
): VNode {
  return html`<section class="card" aria-labelledby="integrations">
    <div class="card-head">
      <h2 id="integrations">Integrations</h2>
      ${visit.can('api_key:manage') && html`<a class="button" href=${`/console/integrations/new?organization_id=${id}`}>Generate Client ID and Secret</a>`}
    </div>
    ${
      data.length === 0
        ? html`<p class="muted">This organization has no integrations.</p>`
        : table({
            caption: 'Integrations',
            columns: [{ label: 'Name' }, { label: 'Status' }, { label: 'Last used' }],
            rows: data.map((client) => [
              html`<a class="strong" href=${clientPath(client.client_id)}>${client.name}</a><code class="under">${client.client_id}</code>`,
              statusBadges(client, visit.now),
              lastUse(client.last_used_at, visit.now),
            ]),
          })
    }
    ${next && html`<p><a href=${`/console/integrations?organization_id=${id}`}>Show all integrations of this organization</a></p>`}
  </section>`;
}

function contactsOf(visit: Visit, { id }: ShownOrganization, { data, next_cursor: next }: Listed<ShownContact>): VNode {
  return html`<section class="card" aria-labelledby="contacts">
    <div class="card-head">
      <h2 id="contacts">Contacts</h2>
      ${visit.can('contacts:manage') && html`<a class="button" href=${`/console/contacts/new?organization_id=${id}`}>New contact</a>`}
    </div>
    ${
      data.length === 0
        ? html`<p class="muted">This organization has no contacts.</p>`
        : table({
            caption: 'Contacts',
            columns: [{ label: 'Name' }, { label: 'E-mail address' }, { label: 'Created' }],
            rows: data.map((contact) => [
              html`<a class="strong" href=${`/console/contacts/${contact.id}`}>${contact.name}</a>`,
              contact.email,
              fromNow(contact.created_at, visit.now),
            ]),
          })
    }
    <p>
      ${next && html`<a href=${`/console/contacts?organization_id=${id}`}>Show all contacts of this organization</a> · `}
      <a href=${`/console/access-keys?organization_id=${id}`}>Access keys of this organization</a>
    </p>
  </section>`;
}

function about(visit: Visit, organization: ShownOrganization): VNode {
  return html`<section class="card" aria-labelledby="about">
    <h2 id="about">Details</h2>
    ${facts({
      'External ID': organization.external_id ?? html`<span class="muted">none</span>`,
      ID: html`<code>${organization.id}</code>`,
      ...noteFacts({ description: null, labels: organization.labels, claims: {} }, '/console/organizations'),
      Created: fromNow(organization.created_at, visit.now),
    })}
  </section>`;
}

function ceiling({ ceiling: limits, is_deployment: isDeployment, ...organization }: ShownOrganization): VNode {
  return html`<section class="card" aria-labelledby="ceiling">
    <h2 id="ceiling">Ceiling</h2>
    ${
      isDeployment
        ? html`<p class="muted">The organization of the deployment itself has no limits.</p>`
        : facts({
            Integrations:
              limits.integrations === null ? 'no limit' : outOf(organization.integrations, limits.integrations),
            'Enabled access keys':
              limits.access_keys === null ? 'no limit' : outOf(organization.access_keys, limits.access_keys),
            'Longest life of an access key': limits.key_lifetime === null ? 'no limit' : inWords(limits.key_lifetime),
            'Secrets can be shown again': limits.reveal ? 'yes' : 'no',
            Permissions:
              limits.scopes === null
                ? 'no limit'
                : limits.scopes.length === 0
                  ? 'none'
                  : html`<ul>${limits.scopes.map(({ resource, scope }) => html`<li><code>${resource}</code>${scopesInWords(scope)}</li>`)}</ul>`,
          })
    }
  </section>`;
}

function danger({ status }: ShownOrganization, at: string): VNode {
  return html`<section class="card" aria-labelledby="danger">
    <h2 id="danger">Danger zone</h2>
    <div class="actions">
      ${
        status === 'enabled'
          ? html`<a class="button danger" href=${`${at}/disable`}>Disable…</a>`
          : postForm(`${at}/enable`, html`<button>Enable</button>`)
      }
      <a class="button danger" href=${`${at}/delete`}>Delete…</a>
    </div>
    <p class="hint">It can be deleted when all its integrations and access keys are disabled and its contacts have no operator tokens.</p>
  </section>`;
}
