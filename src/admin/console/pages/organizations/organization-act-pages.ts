import { html } from 'htm/preact';
import { countOf } from '../../../../text/count-text.ts';
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
        title: `Disable ${organization.name}?`,
        section: 'organizations',
        body: html`<ul class="bullets">
          <li>Its ${countOf(organization.integrations, 'integration')} and ${countOf(organization.access_keys, 'enabled access key')} stop working immediately, and all active tokens of its integrations are revoked.</li>
          <li>Its contacts can no longer sign in to this console or use the admin API.</li>
          <li>You can enable it again. The revoked tokens stay revoked, and programs must request new ones.</li>
        </ul>`,
        button: 'Disable',
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
        title: `Delete ${organization.name}?`,
        section: 'organizations',
        body: html`<ul class="bullets">
          <li>Its disabled integrations (${organization.integrations}) and its contacts (${organization.contacts}) are deleted with their access keys.</li>
          <li>Its history stays in the audit log.</li>
          <li>This cannot be undone.</li>
        </ul>`,
        button: 'Delete',
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
