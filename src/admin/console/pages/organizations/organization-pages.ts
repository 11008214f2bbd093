import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { msg, t } from '../../languages/translate.ts';
import type { Listed, Page, ShownClient, ShownContact, ShownOrganization, Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import { noteFacts } from '../../parts/detail-facts.ts';
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
  title: msg('Organizations'),
  lead: msg('Customers and partners, to which contacts and integrations belong.'),
  action: { permission: 'contacts:manage', path: '/console/organizations/new', label: msg('New organization') },
  route: 'GET /organizations',
  search: msg('Name or external ID'),
  noMatch: msg('No organizations match'),
  showAll: msg('Show all organizations'),
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
    { name: 'label', label: msg('Label (tier=gold)') },
  ],
  none: () =>
    emptyState(t('No organizations'), html`<p>${t('An organization is a customer or partner of yours.')}</p>`),
  table: (visit, organizations) =>
    table({
      caption: t('Organizations'),
      columns: [
        { label: t('Name') },
        { label: t('Status') },
        { label: t('Integrations'), isNumber: true },
        { label: t('Access keys'), isNumber: true },
        { label: t('Contacts'), isNumber: true },
        { label: t('Created') },
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
  return html`<span class="badges">${badge(status === 'enabled' ? 'ok' : 'bad', status === 'enabled' ? t('enabled') : t('disabled'))}${isDeployment && badge('plain', t('this deployment'))}</span>`;
}

function outOf(count: number, max: number | null): string {
  return max === null ? t('{count, number}', { count }) : t('{count, number} of {max, number}', { count, max });
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
        back: { path: '/console/organizations', label: t('Organizations') },
        actions: mayManage && html`<a class="button" href=${`${at}/edit`}>${t('Edit')}</a>`,
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
      <h2 id="integrations">${t('Integrations')}</h2>
      ${visit.can('api_key:manage') && html`<a class="button" href=${`/console/integrations/new?organization_id=${id}`}>${t('Generate Client ID and Secret')}</a>`}
    </div>
    ${
      data.length === 0
        ? html`<p class="muted">${t('This organization has no integrations.')}</p>`
        : table({
            caption: t('Integrations'),
            columns: [{ label: t('Name') }, { label: t('Status') }, { label: t('Last used') }],
            rows: data.map((client) => [
              html`<a class="strong" href=${clientPath(client.client_id)}>${client.name}</a><code class="under">${client.client_id}</code>`,
              statusBadges(client, visit.now),
              lastUse(client.last_used_at, visit.now),
            ]),
          })
    }
    ${next && html`<p><a href=${`/console/integrations?organization_id=${id}`}>${t('Show all integrations of this organization')}</a></p>`}
  </section>`;
}

function contactsOf(visit: Visit, { id }: ShownOrganization, { data, next_cursor: next }: Listed<ShownContact>): VNode {
  return html`<section class="card" aria-labelledby="contacts">
    <div class="card-head">
      <h2 id="contacts">${t('Contacts')}</h2>
      ${visit.can('contacts:manage') && html`<a class="button" href=${`/console/contacts/new?organization_id=${id}`}>${t('New contact')}</a>`}
    </div>
    ${
      data.length === 0
        ? html`<p class="muted">${t('This organization has no contacts.')}</p>`
        : table({
            caption: t('Contacts'),
            columns: [{ label: t('Name') }, { label: t('E-mail address') }, { label: t('Created') }],
            rows: data.map((contact) => [
              html`<a class="strong" href=${`/console/contacts/${contact.id}`}>${contact.name}</a>`,
              contact.email,
              fromNow(contact.created_at, visit.now),
            ]),
          })
    }
    <p>
      ${next && html`<a href=${`/console/contacts?organization_id=${id}`}>${t('Show all contacts of this organization')}</a> · `}
      <a href=${`/console/access-keys?organization_id=${id}`}>${t('Access keys of this organization')}</a>
    </p>
  </section>`;
}

function about(visit: Visit, organization: ShownOrganization): VNode {
  return html`<section class="card" aria-labelledby="about">
    <h2 id="about">${t('Details')}</h2>
    ${facts({
      [t('External ID')]: organization.external_id ?? html`<span class="muted">${t('none')}</span>`,
      [t('ID')]: html`<code>${organization.id}</code>`,
      ...noteFacts({ description: null, labels: organization.labels, claims: {} }, '/console/organizations'),
      [t('Created')]: fromNow(organization.created_at, visit.now),
    })}
  </section>`;
}

function ceiling({ ceiling: limits, is_deployment: isDeployment, ...organization }: ShownOrganization): VNode {
  return html`<section class="card" aria-labelledby="ceiling">
    <h2 id="ceiling">${t('Ceiling')}</h2>
    ${
      isDeployment
        ? html`<p class="muted">${t('The organization of the deployment itself has no limits.')}</p>`
        : facts({
            [t('Integrations')]:
              limits.integrations === null ? t('no limit') : outOf(organization.integrations, limits.integrations),
            [t('Enabled access keys')]:
              limits.access_keys === null ? t('no limit') : outOf(organization.access_keys, limits.access_keys),
            [t('Longest life of an access key')]:
              limits.key_lifetime === null ? t('no limit') : inWords(limits.key_lifetime),
            [t('Secrets can be shown again')]: limits.reveal ? t('yes') : t('no'),
            [t('Permissions')]:
              limits.scopes === null
                ? t('no limit')
                : limits.scopes.length === 0
                  ? t('none')
                  : html`<ul>${limits.scopes.map(({ resource, scope }) => html`<li><code>${resource}</code>${scopesInWords(scope)}</li>`)}</ul>`,
          })
    }
  </section>`;
}

function danger({ status }: ShownOrganization, at: string): VNode {
  return html`<section class="card" aria-labelledby="danger">
    <h2 id="danger">${t('Danger zone')}</h2>
    <div class="actions">
      ${
        status === 'enabled'
          ? html`<a class="button danger" href=${`${at}/disable`}>${t('Disable…')}</a>`
          : postForm(`${at}/enable`, html`<button>${t('Enable')}</button>`)
      }
      <a class="button danger" href=${`${at}/delete`}>${t('Delete…')}</a>
    </div>
    <p class="hint">${t('It can be deleted when all its integrations and access keys are disabled and its contacts have no operator tokens.')}</p>
  </section>`;
}
