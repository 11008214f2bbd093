import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { msg, rich, t } from '../../languages/translate.ts';
import type { Listed, Page, ShownAccessKey, ShownClient, ShownContact, Visit } from '../../page.ts';
import { clientPath } from '../../parts/client-path.ts';
import {
  facts,
  fromNow,
  lastUse,
  pageHeading,
  pagination,
  permissionLabel,
  permissionName,
  statusBadges,
  table,
} from '../../parts/elements.ts';
import { historySection } from '../../parts/event-sentence.ts';
import { postForm } from '../../parts/forms.ts';
import { listPage } from '../../parts/list-page.ts';
import { type Facts, organizationFact } from '../../parts/organization-fact.ts';
import { accessKeyTable } from '../access-keys/access-key-parts.ts';

/** Page that lists and searches contacts: people, partners and operators. */
export const contactsPage = listPage<ShownContact>({
  section: 'contacts',
  title: msg('Contacts'),
  lead: msg('People and partners, their permissions and their access keys.'),
  action: { permission: 'contacts:manage', path: '/console/contacts/new', label: msg('New contact') },
  further: { path: '/console/invitations', label: msg('Invitations') },
  route: 'GET /contacts',
  search: msg('Name, e-mail address or external ID'),
  noMatch: msg('No contacts match'),
  showAll: msg('Show all contacts'),
  filters: [{ name: 'organization_id', label: msg('Organization'), isHidden: true }],
  table: (visit, contacts) =>
    table({
      caption: t('Contacts'),
      columns: [
        { label: t('Name') },
        { label: t('External ID') },
        { label: t('Operator access') },
        { label: t('Created') },
      ],
      rows: contacts.map((contact) => [
        html`<a class="strong" href=${`/console/contacts/${contact.id}`}>${contact.name}</a
          ><span class="under">${contact.email}</span>`,
        contact.external_id ?? html`<span class="muted">${t('none')}</span>`,
        operatorSummary(contact),
        fromNow(contact.created_at, visit.now),
      ]),
    }),
});

function operatorSummary({ permissions, operator_token_hint: hint }: ShownContact) {
  if (permissions.length === 0 && hint === null) return html`<span class="muted">${t('none')}</span>`;
  return html`<span>${hint === null ? t('no token') : rich('token <code>{hint}</code>', { hint })}</span
    ><span class="under">${permissions.map(permissionName).join(', ') || t('no permissions')}</span>`;
}

/** Page of one contact: access keys, details and operator permissions. */
export const contactPage: Page = {
  method: 'get',
  path: '/contacts/:id',
  permission: 'integrations:view',
  handle: async (visit) => {
    const params = { id: visit.params['id'] };
    const [{ body: contact }, { body: keys }, { body: owned }] = await Promise.all([
      visit.call<ShownContact>('GET /contacts/{id}', { params }),
      visit.call<Listed<ShownAccessKey>>('GET /contacts/{id}/access-keys', {
        params,
        query: { cursor: visit.query['cursor'] },
      }),
      visit.call<Listed<ShownClient>>('GET /clients', { query: { owner_contact_id: params.id, limit: '25' } }),
    ]);
    const at = `/console/contacts/${contact.id}`;
    const mayManage = visit.can('contacts:manage');
    return {
      title: contact.name,
      section: 'contacts',
      body: html`${pageHeading({
        title: contact.name,
        lead: contact.email,
        back: { path: '/console/contacts', label: t('Contacts') },
        actions:
          mayManage &&
          html`<a class="button" href=${`/console/invitations/new?${new URLSearchParams({ contact_id: contact.id, contact_name: contact.name })}`}>${t('Invite')}</a><a class="button" href=${`${at}/sessions`}>${t('Sessions')}</a><a class="button" href=${`${at}/edit`}>${t('Edit')}</a>`,
      })}
      ${accessKeys(visit, contact, keys)} ${ownedClients(visit, contact, owned)}
      <div class="grid two">${about(visit, contact, await organizationFact(visit, contact))} ${operator(visit, contact, at)}</div>
      ${await historySection(visit, contact.id)} ${danger(visit, at, keys)}`,
    };
  },
};

function danger(visit: Visit, at: string, { data: keys }: Listed<ShownAccessKey>): VNode | null {
  const mayDisable = visit.can('integrations:edit') && keys.length > 0;
  const mayDelete = visit.can('contacts:manage');
  if (!mayDisable && !mayDelete) return null;
  return html`<section class="card" aria-labelledby="danger">
    <h2 id="danger">${t('Danger zone')}</h2>
    ${
      mayDelete &&
      html`<p class="muted">${t('A contact can be deleted when all of its access keys are disabled or expired and it owns no integration or resource server. Its history stays in the audit log.')}</p>`
    }
    <div class="actions">
      ${mayDisable && html`<a class="button danger" href=${`${at}/disable-access-keys`}>${t('Disable all access keys…')}</a>`}
      ${mayDelete && html`<a class="button danger" href=${`${at}/delete`}>${t('Delete…')}</a>`}
    </div>
  </section>`;
}

function accessKeys(visit: Visit, contact: ShownContact, keys: Listed<ShownAccessKey>): VNode {
  const at = `/console/contacts/${contact.id}`;
  return html`<section class="card" aria-labelledby="keys">
    <div class="card-head">
      <h2 id="keys">${t('Access keys')}</h2>
      ${visit.can('integrations:edit') && html`<a class="button" href=${`${at}/access-keys/new`}>${t('Create Key')}</a>`}
    </div>
    ${keys.data.length === 0 ? html`<p class="muted">${t('This contact has no access keys.')}</p>` : accessKeyTable(visit, keys.data, 'one contact')}
    ${pagination(at, visit.query, keys)}
  </section>`;
}

/** Lists the integrations and resource servers that a contact owns. */
function ownedClients(
  visit: Visit,
  { id }: ShownContact,
  { data, next_cursor: next }: Listed<ShownClient>,
): VNode | null {
  if (data.length === 0) return null;
  return html`<section class="card" aria-labelledby="owned">
    <h2 id="owned">${t('Integrations and resource servers that this contact owns')}</h2>
    ${table({
      caption: t('Integrations and resource servers'),
      columns: [{ label: t('Name') }, { label: t('Kind') }, { label: t('Status') }, { label: t('Last used') }],
      rows: data.map((client) => [
        html`<a class="strong" href=${clientPath(client.client_id)}>${client.name}</a><code class="under">${client.client_id}</code>`,
        client.kind === 'integration' ? t('integration') : t('resource server'),
        statusBadges(client, visit.now),
        lastUse(client.last_used_at, visit.now),
      ]),
    })}
    ${next && html`<p><a href=${`/console/integrations?owner_contact_id=${id}`}>${t('Show all integrations of this owner')}</a></p>`}
  </section>`;
}

function about(visit: Visit, contact: ShownContact, organization: Facts): VNode {
  return html`<section class="card" aria-labelledby="about">
    <h2 id="about">${t('Details')}</h2>
    ${facts({
      [t('E-mail address')]: contact.email,
      [t('External ID')]: contact.external_id ?? html`<span class="muted">${t('none')}</span>`,
      ...organization,
      [t('ID')]: html`<code>${contact.id}</code>`,
      [t('Created')]: fromNow(contact.created_at, visit.now),
    })}
  </section>`;
}

function operator(visit: Visit, contact: ShownContact, at: string): VNode {
  const hint = contact.operator_token_hint;
  const mayIssue = visit.can('contacts:manage') && contact.permissions.every((permission) => visit.can(permission));
  return html`<section class="card" aria-labelledby="operator">
    <h2 id="operator">${t('Operator access')}</h2>
    ${facts({
      [t('Permissions')]:
        contact.permissions.length > 0
          ? html`<ul>${contact.permissions.map((each) => html`<li>${permissionLabel(each)}</li>`)}</ul>`
          : html`<span class="muted">${t('none')}</span>`,
      // In the portal, people sign in without one.
      ...(hint === null && visit.site.name === 'portal'
        ? {}
        : {
            [t('Operator token')]: hint
              ? html`<code>${hint}</code>`
              : html`<span class="muted">${t('none (this contact cannot sign in)')}</span>`,
          }),
    })}
    ${
      mayIssue &&
      html`<div class="actions">
          ${
            hint
              ? html`<a class="button" href=${`${at}/operator-token`}>${t('Issue new token…')}</a>
                  <a class="button danger" href=${`${at}/operator-token/revoke`}>${t('Revoke…')}</a>`
              : postForm(`${at}/operator-token`, html`<button>${t('Issue operator token')}</button>`)
          }
        </div>`
    }
    ${
      visit.can('contacts:manage') &&
      !mayIssue &&
      html`<p class="hint">${t('This contact has permissions that you do not have. Only an operator with all of them can issue or revoke its token.')}</p>`
    }
  </section>`;
}
