import { html } from 'htm/preact';
import type { KeyturnError } from '../../../../errors.ts';
import { t } from '../../languages/translate.ts';
import { attempt, type Page, type Reply, type ShownAccessKey, type ShownContact, type Visit } from '../../page.ts';
import { pageHeading } from '../../parts/elements.ts';
import { readEntries } from '../../parts/entries.ts';
import { checkbox, postForm } from '../../parts/forms.ts';
import { copyHint, madePage, shownHowLong } from '../../parts/made-page.ts';
import { problemNotice } from '../../parts/notices.ts';
import { readOffers } from '../clients/client-form.ts';
import { accessKeyFields, readAccessKeyForm, showAccessKey } from './access-key-parts.ts';

const path = '/contacts/:id/access-keys/new';
const route = 'POST /contacts/{id}/access-keys';

type Created = ShownAccessKey & { access_key: string };

/** Pages that create an access key. */
export const newAccessKeyPages: readonly Page[] = [
  {
    method: 'get',
    path,
    permission: 'integrations:edit',
    asksProof: true,
    handle: (visit) => showForm(visit, new URLSearchParams({ reveal: 'on' })),
  },
  {
    method: 'post',
    path,
    permission: 'integrations:edit',
    handle: async (visit) => {
      const { form, once } = visit;
      if (form.has('editing')) {
        form.delete('editing');
        return await showForm(visit, form);
      }
      const params = { id: visit.params['id'] };
      const result = await attempt(async () => {
        const body = { ...(await readAccessKeyForm(visit)), reveal: form.has('reveal') };
        return await visit.call<Created>(route, { params, body, once });
      });
      if ('problem' in result) return await showForm(visit, form, result.problem);
      return { seeOther: `/console/contacts/${params.id}/access-keys/new/made/${once}` };
    },
  },
  madePage<Created>({
    path,
    route,
    permission: 'integrations:edit',
    params: ({ params: { id } }) => ({ id }),
    show: (visit, { id, name, access_key: value, reveal, standalone }) =>
      showAccessKey(visit, {
        title: t('Access key'),
        id,
        name,
        value,
        standalone,
        said: html`<p><strong>${t('Created.')}</strong> ${shownHowLong(reveal)}</p>`,
      }),
  }),
];

async function showForm(visit: Visit, form: URLSearchParams, problem?: KeyturnError): Promise<Reply> {
  const { body: contact } = await visit.call<ShownContact>('GET /contacts/{id}', {
    params: { id: visit.params['id'] },
  });
  const offers = (await readOffers(visit, contact.organization_id)) ?? [];
  const back = { path: `/console/contacts/${contact.id}`, label: contact.name };
  return {
    ...(problem ? { status: problem.status } : {}),
    title: t('New access key for {name}', { name: contact.name }),
    section: 'contacts',
    body: html`${pageHeading({ title: t('New access key for {name}', { name: contact.name }), lead: t('The key is shown on the next page.'), back })}
      ${problem && problemNotice(problem)}
      <div class="card narrow">
        ${postForm(
          visit.path,
          html`${accessKeyFields(visit, readEntries(form, problem), offers)}
            ${
              visit.core.reveal &&
              checkbox({
                name: 'reveal',
                label: t('Store an encrypted copy of the key'),
                hint: copyHint(),
                checked: form.has('reveal'),
              })
            }
            <div class="actions">
              <button class="primary">${t('Create Key')}</button><a class="button" href=${back.path}>${t('Cancel')}</a>
            </div>`,
        )}
      </div>`,
  };
}
