import { html } from 'htm/preact';
import { t } from '../languages/translate.ts';
import type { Page, ShownContact, ShownSession, Visit } from '../page.ts';
import { pageHeading } from '../parts/elements.ts';
import { postForm } from '../parts/forms.ts';
import { sessionTable } from '../parts/session-table.ts';

const own = '/console/sessions';
const ofContact = '/contacts/:id/sessions';

type Sessions = { data: ShownSession[] };

/** Pages that list and end sessions: one's own, and those of a contact. */
export const sessionPages: readonly Page[] = [
  {
    method: 'get',
    path: '/sessions',
    handle: async (visit) => {
      const { body } = await visit.call<Sessions>('GET /me/sessions');
      return {
        title: t('Your sessions'),
        body: html`${pageHeading({
          title: t('Your sessions'),
          lead: t('Where you are signed in. A session ends by itself if it is not used.'),
          actions: html`<a class="button" href="/console/passkeys">${t('Your passkeys')}</a>`,
        })}
          <section class="card stack" aria-label=${t('Sessions')}>
            ${sessionTable(visit, own, body.data)}
            ${postForm(`${own}/end-all`, html`<button class="danger">${t('Sign out everywhere')}</button>`)}
          </section>`,
      };
    },
  },
  {
    method: 'post',
    path: '/sessions/:session_id/end',
    handle: async (visit) => {
      const params = { session_id: visit.params['session_id'] };
      await visit.call('DELETE /me/sessions/{session_id}', { params });
      return { seeOther: own, done: 'session-ended' };
    },
  },
  {
    method: 'post',
    path: '/sessions/end-all',
    handle: async (visit) => {
      await visit.call('DELETE /me/sessions');
      return { seeOther: own };
    },
  },
  {
    method: 'get',
    path: ofContact,
    permission: 'contacts:manage',
    handle: async (visit) => {
      const params = of(visit);
      const { body } = await visit.call<Sessions>('GET /contacts/{id}/sessions', { params });
      const name = visit.can('integrations:view')
        ? (await visit.call<ShownContact>('GET /contacts/{id}', { params })).body.name
        : t('Contact');
      const at = `/console/contacts/${params.id}`;
      return {
        title: t('Sessions of {name}', { name }),
        section: 'contacts',
        body: html`${pageHeading({ title: t('Sessions of {name}', { name }), back: { path: at, label: name } })}
          <section class="card stack" aria-label=${t('Sessions')}>
            ${
              body.data.length === 0
                ? html`<p class="muted">${t('This contact is not signed in.')}</p>`
                : html`${sessionTable(visit, `${at}/sessions`, body.data)}
                    ${postForm(`${at}/sessions/end-all`, html`<button class="danger">${t('End all sessions')}</button>`)}`
            }
          </section>`,
      };
    },
  },
  {
    method: 'post',
    path: `${ofContact}/:session_id/end`,
    permission: 'contacts:manage',
    handle: async (visit) => {
      const params = { ...of(visit), session_id: visit.params['session_id'] };
      await visit.call('DELETE /contacts/{id}/sessions/{session_id}', { params });
      return { seeOther: `/console/contacts/${params.id}/sessions`, done: 'session-ended' };
    },
  },
  {
    method: 'post',
    path: `${ofContact}/end-all`,
    permission: 'contacts:manage',
    handle: async (visit) => {
      const params = of(visit);
      await visit.call('DELETE /contacts/{id}/sessions', { params });
      return { seeOther: `/console/contacts/${params.id}/sessions`, done: 'session-ended' };
    },
  },
];

function of({ params }: Visit) {
  return { id: params['id'] ?? '' };
}
