import { html } from 'htm/preact';
import { t } from '../../languages/translate.ts';
import type { Page, ShownOrganization, Visit } from '../../page.ts';
import { confirmedAct } from '../../parts/confirmed-act.ts';

const path = '/organizations/:id';

/** Pages that disable, enable or delete an organization. */
export const organizationActPages: readonly Page[] = [
  ...confirmedAct({
    path: `${path}/disable`,
    permission: 'contacts:manage',
    confirm: async (visit) => {
      const organization = await findShown(visit);
      return {
        title: t('Disable {name}?', { name: organization.name }),
        section: 'organizations',
        body: html`<ul class="bullets">
          <li>${t('Its {integrations, plural, one {# integration} other {# integrations}} and {accessKeys, plural, one {# enabled access key} other {# enabled access keys}} stop working immediately, and all active tokens of its integrations are revoked.', { integrations: organization.integrations, accessKeys: organization.access_keys })}</li>
          <li>${t('Its contacts can no longer sign in to this console or use the admin API.')}</li>
          <li>${t('You can enable it again. The revoked tokens stay revoked, and programs must request new ones.')}</li>
        </ul>`,
        button: t('Disable'),
        back: backTo(organization),
      };
    },
    act: async (visit) => {
      await visit.call('POST /organizations/{id}/disable', of(visit));
      return { seeOther: at(visit), done: 'organization-disabled' };
    },
  }),
  {
    method: 'post',
    path: `${path}/enable`,
    permission: 'contacts:manage',
    handle: async (visit) => {
      await visit.call('POST /organizations/{id}/enable', of(visit));
      return { seeOther: at(visit), done: 'enabled' };
    },
  },
  ...confirmedAct({
    path: `${path}/delete`,
    permission: 'contacts:manage',
    confirm: async (visit) => {
      const organization = await findShown(visit);
      return {
        title: t('Delete {name}?', { name: organization.name }),
        section: 'organizations',
        body: html`<ul class="bullets">
          <li>${t('Its disabled integrations ({integrations}) and its contacts ({contacts}) are deleted with their access keys.', { integrations: organization.integrations, contacts: organization.contacts })}</li>
          <li>${t('Its history stays in the audit log.')}</li>
          <li>${t('This cannot be undone.')}</li>
        </ul>`,
        button: t('Delete'),
        name: organization.name,
        back: backTo(organization),
      };
    },
    act: async (visit) => {
      await visit.call('DELETE /organizations/{id}', of(visit));
      return { seeOther: '/console/organizations', done: 'deleted' };
    },
  }),
];

async function findShown(visit: Visit): Promise<ShownOrganization> {
  return (await visit.call<ShownOrganization>('GET /organizations/{id}', of(visit))).body;
}

function of({ params }: Visit) {
  return { params: { id: params['id'] } };
}

function at({ params }: Visit): `/console/${string}` {
  return `/console/organizations/${params['id']}`;
}

function backTo({ id, name }: ShownOrganization) {
  return { path: `/console/organizations/${id}`, label: name };
}
