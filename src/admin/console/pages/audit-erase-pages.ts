import { html } from 'htm/preact';
import type { VNode } from 'preact';
import { t } from '../languages/translate.ts';
import type { Listed, Page, ShownEvent, Visit } from '../page.ts';
import { confirmedAct } from '../parts/confirmed-act.ts';

const path = '/console/audit/erase';

/** Pages that erase the personal values of a deleted contact in the audit log. */
export const auditErasePages: readonly Page[] = confirmedAct({
  path: '/audit/erase',
  permission: 'contacts:manage',
  asksProof: true,
  confirm: async (visit) => {
    const contact = contactOf(visit);
    const name = await findName(visit, contact);
    return {
      title: t('Erase the personal values of {name}?', { name: name ?? contact }),
      section: 'audit',
      body: html`<ul class="bullets">
        <li>${t('The name, the e-mail addresses, the IP addresses and other personal values of this contact are replaced by “erased” in the audit log. The events stay, and can still be verified.')}</li>
        <li>${t('Nothing is erased in archived files, in backups, and at receivers of the audit log. Events that an earlier version of Keyturn has written keep their values until they are archived.')}</li>
        <li>${t('This cannot be undone.')}</li>
      </ul>`,
      button: t('Erase personal values'),
      ...(name === undefined ? {} : { name }),
      fields: new URLSearchParams({ contact }),
      back: { path: '/console/audit', label: t('Audit log') },
    };
  },
  act: async (visit) => {
    await visit.call('POST /audit-events/erase', { body: { contact_id: contactOf(visit) } });
    return { seeOther: '/console/audit', done: 'personal-values-erased' };
  },
}).map((page) => ({ ...page, isForDeployment: true }));

/** Links to the erasure from the event that has deleted a contact. */
export function eraseLink(visit: Visit, { action, target, erased }: ShownEvent): VNode | undefined {
  const isOffered = action === 'contact.delete' && !erased && visit.operator.organizationId === null;
  if (!isOffered || !visit.can('contacts:manage')) return undefined;
  return html` <a href=${`${path}?contact=${encodeURIComponent(target)}`}>${t('Erase personal values…')}</a>`;
}

function contactOf({ query, form }: Visit): string {
  return form.get('contact') ?? query['contact'] ?? '';
}

/** Finds the name that the contact had when it was deleted. Undefined if the event is not in the database, or was erased. */
async function findName(visit: Visit, target: string): Promise<string | undefined> {
  if (!visit.can('audit:view') || target === '') return undefined;
  const query = { target, action: 'contact.delete', limit: '1' };
  const [event] = (await visit.call<Listed<ShownEvent>>('GET /audit-events', { query })).body.data;
  const name = event?.before?.['name'];
  return typeof name === 'string' && event?.erased === false ? name : undefined;
}
