import { html } from 'htm/preact';
import type { KeyturnError } from '../../../../errors.ts';
import { attempt } from '../../attempt.ts';
import type { Page, Reply, Visit } from '../../page.ts';
import { pageHeading } from '../../parts/elements.ts';
import { postForm } from '../../parts/forms.ts';
import { notice, problemNotice } from '../../parts/notices.ts';
import type { ShownContact } from '../../shown.ts';
import { contactFields, readContactForm, toContactForm } from './contact-form.ts';

/** Pages that create or change a contact. */
export const contactFormPages: readonly Page[] = [
  {
    method: 'get',
    path: '/contacts/new',
    permission: 'contacts:manage',
    asksProof: true,
    handle: async (visit) => showForm(visit, { form: new URLSearchParams() }),
  },
  {
    method: 'post',
    path: '/contacts/new',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { form } = visit;
      const request = { body: readContactForm(form), once: visit.once };
      const result = await attempt(() => visit.call<ShownContact>('POST /contacts', request));
      if ('problem' in result) return showForm(visit, { form, problem: result.problem });
      const mayLook = visit.can('integrations:view');
      return { seeOther: `/console/contacts${mayLook ? `/${result.done.body.id}` : ''}?done=saved` };
    },
  },
  {
    method: 'get',
    path: '/contacts/:id/edit',
    permission: 'contacts:manage',
    asksProof: true,
    handle: async (visit) => {
      const { body: contact, revision } = await findContact(visit);
      return showForm(visit, { form: toContactForm(contact), contact, revision });
    },
  },
  {
    method: 'post',
    path: '/contacts/:id/edit',
    permission: 'contacts:manage',
    handle: async (visit) => {
      const { form } = visit;
      const { body: contact } = await findContact(visit);
      const revision = form.get('revision') ?? '';
      const params = { id: contact.id };
      const body = readContactForm(form);
      const result = await attempt(() => visit.call('PATCH /contacts/{id}', { params, body, revision }));
      if ('problem' in result) return showForm(visit, { form, contact, revision, problem: result.problem });
      return { seeOther: `/console/contacts/${contact.id}?done=saved` };
    },
  },
];

async function findContact(visit: Visit) {
  return await visit.call<ShownContact>('GET /contacts/{id}', { params: { id: visit.params['id'] } });
}

function showForm(
  visit: Visit,
  shown: { form: URLSearchParams; contact?: ShownContact; revision?: string; problem?: KeyturnError },
): Reply {
  const { form, contact, revision, problem } = shown;
  const title = contact ? `Edit ${contact.name}` : 'New contact';
  const back = contact
    ? { path: `/console/contacts/${contact.id}`, label: contact.name }
    : { path: '/console/contacts', label: 'Contacts' };
  return {
    ...(problem ? { status: problem.status } : {}),
    title,
    section: 'contacts',
    body: html`${pageHeading({ title, back })} ${problem && problemNotice(problem)}
      ${contact?.id === visit.operator.id && notice('warn', 'This is your own contact. If you change its permissions, you must sign in again.')}
      <div class="card narrow">
        ${postForm(
          visit.path,
          html`${revision && html`<input type="hidden" name="revision" value=${revision} />`} ${contactFields(visit, form)}
            <div class="actions">
              <button class="primary">${contact ? 'Save' : 'Create'}</button><a class="button" href=${back.path}>Cancel</a>
            </div>`,
        )}
      </div>`,
  };
}
